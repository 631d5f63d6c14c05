// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package hub

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/inspect"
	"github.com/atlhyper/atlhyper/internal/history/store"
)

const (
	// DSNVariable is the environment variable that says where history is kept
	// when no flag does.
	DSNVariable = inspect.DSNVariable
	// DefaultDSN is where history is kept when nobody says.
	DefaultDSN = "sqlite:///var/lib/atlhyper/history.db"
	// NoHistory is the DSN of a hub that keeps no history and takes no telemetry.
	NoHistory = "none"

	maxDSN = 4 << 10
)

// TelemetryConfig says where history is kept and how agents reach the hub with it.
type TelemetryConfig struct {
	// DSN names the database: sqlite:///path, postgres://..., mysql://... or
	// NoHistory. When empty, DSNFile, the environment variable DSNVariable and
	// DefaultDSN follow, in this order. It must hold no password when it comes
	// from the command line; Run cannot know, so BindFlags refuses one.
	DSN string
	// DSNFile is a file with the DSN, usually of a mounted Secret.
	DSNFile string
	// Retention is what history.ParseRetention reads.
	Retention string

	// IngestBindAddress is where agents deliver telemetry. "0" turns it off.
	IngestBindAddress string
	// IngestURL is the URL at which agents reach it. When empty, agents are told
	// of none and keep what they see to themselves.
	IngestURL string
	// IngestCertFile and IngestKeyFile are its certificate and key. When empty,
	// the hub is its own authority, see the Secret IngestAuthority.
	IngestCertFile, IngestKeyFile string
	// IngestCAFile holds the PEM certificates with which agents verify
	// IngestCertFile. When empty, they use the certificates of their system.
	IngestCAFile string
}

func defaultTelemetry() TelemetryConfig {
	return TelemetryConfig{IngestBindAddress: ":8444"}
}

// BindFlags adds a flag for every field.
func (c *TelemetryConfig) BindFlags(fs *flag.FlagSet) {
	fs.Func("dsn", "Where history is kept: sqlite:///path, postgres://..., mysql://..., or none. "+
		"A DSN with a password belongs into --dsn-file or $"+DSNVariable+". (default "+DefaultDSN+")", func(dsn string) error {
		if u, err := url.Parse(dsn); err == nil && u.User != nil {
			if _, secret := u.User.Password(); secret {
				return errors.New("it holds a password, and everybody on this machine can read a command line: use --dsn-file or $" + DSNVariable)
			}
		}
		c.DSN = dsn
		return nil
	})
	fs.StringVar(&c.DSNFile, "dsn-file", c.DSNFile, "File with the DSN, usually of a mounted Secret.")
	fs.StringVar(&c.Retention, "retention", c.Retention,
		"How long history keeps what, where that differs from the default, such as samples=48h,events=30d. (default "+history.DefaultRetention().String()+")")
	fs.StringVar(&c.IngestBindAddress, "ingest-bind-address", c.IngestBindAddress,
		"Where agents deliver telemetry, over TLS. 0 turns it off.")
	fs.StringVar(&c.IngestURL, "ingest-url", c.IngestURL,
		"URL at which agents reach --ingest-bind-address. When empty, agents deliver nothing.")
	fs.StringVar(&c.IngestCertFile, "ingest-cert-file", c.IngestCertFile,
		"File with the PEM certificate of the ingest endpoint, read again when it changes. When empty, the hub issues one from an authority of its own.")
	fs.StringVar(&c.IngestKeyFile, "ingest-key-file", c.IngestKeyFile, "File with the key of --ingest-cert-file.")
	fs.StringVar(&c.IngestCAFile, "ingest-ca-file", c.IngestCAFile,
		"File with the PEM certificates with which agents verify --ingest-cert-file. Defaults to the certificates of their systems.")
}

// validate returns everything that is wrong with the configuration.
func (c *TelemetryConfig) validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.DSN != "" && c.DSNFile != "" {
		wrong("--dsn and --dsn-file exclude each other")
	}
	if dsn, err := c.dsn(); err != nil {
		errs = append(errs, err)
	} else if dsn != NoHistory {
		errs = append(errs, store.CheckDSN(dsn))
	}
	if _, err := history.ParseRetention(c.Retention); err != nil {
		wrong("--retention: %w", err)
	}
	return errors.Join(append(errs, c.validateIngest())...)
}

func (c *TelemetryConfig) validateIngest() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.IngestURL != "" {
		if u, err := url.Parse(c.IngestURL); err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" {
			wrong("--ingest-url is %q; it has to be an https URL without credentials", c.IngestURL)
		}
		if c.IngestBindAddress == "0" {
			wrong("--ingest-url needs --ingest-bind-address")
		}
	}
	if (c.IngestCertFile == "") != (c.IngestKeyFile == "") {
		wrong("--ingest-cert-file and --ingest-key-file need each other")
	}
	if c.IngestCAFile != "" && c.IngestCertFile == "" {
		wrong("--ingest-ca-file needs --ingest-cert-file")
	}
	return errors.Join(errs...)
}

// dsn returns the DSN to use. Its errors do not show it.
func (c *TelemetryConfig) dsn() (string, error) {
	if c.DSN != "" {
		return c.DSN, nil
	}
	if c.DSNFile != "" {
		content, err := os.ReadFile(c.DSNFile)
		if err != nil {
			return "", fmt.Errorf("reading --dsn-file: %w", err)
		}
		dsn := strings.TrimSpace(string(content))
		if dsn == "" || len(dsn) > maxDSN {
			return "", fmt.Errorf("reading --dsn-file %s: it holds %d bytes, and a DSN has 1 to %d", c.DSNFile, len(dsn), maxDSN)
		}
		return dsn, nil
	}
	if dsn := os.Getenv(DSNVariable); dsn != "" {
		return dsn, nil
	}
	return DefaultDSN, nil
}

// ingestHosts are the names and addresses under which agents find the endpoint.
func (c *TelemetryConfig) ingestHosts() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if u, err := url.Parse(c.IngestURL); err == nil && u.Hostname() != "" {
		hosts = append(hosts, u.Hostname())
	}
	if host, _, err := net.SplitHostPort(c.IngestBindAddress); err == nil && host != "" {
		hosts = append(hosts, host)
	}
	return hosts
}
