# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# One image per program, from the static binary that `make build` put into bin/.
# Use `make image ROLE=hub`.
FROM scratch
ARG ROLE
COPY bin/${ROLE} /atlhyper
USER 65532:65532
ENTRYPOINT ["/atlhyper"]
