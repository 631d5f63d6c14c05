// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/atlhyper/atlhyper/internal/history"
)

// A cursor is the sort key of the last row of a page, as text, so that the next
// page begins behind it however many rows have come before.

func encodeCursor(key ...any) string {
	parts := make([]string, len(key))
	for i, k := range key {
		parts[i] = fmt.Sprint(k)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(packJSON(parts)))
}

// decodeCursor reads a key into pointers to int64 or string. It returns false when
// there is no cursor.
func decodeCursor(cursor string, key ...any) (bool, error) {
	if cursor == "" {
		return false, nil
	}
	invalid := fmt.Errorf("%w: the cursor does not belong to this query", history.ErrInvalidQuery)
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return false, invalid
	}
	var parts []string
	if err := json.Unmarshal(text, &parts); err != nil || len(parts) != len(key) {
		return false, invalid
	}
	for i := range key {
		part := parts[i]
		switch k := key[i].(type) {
		case *int64:
			if *k, err = strconv.ParseInt(part, 10, 64); err != nil {
				return false, invalid
			}
		case *string:
			*k = part
		}
	}
	return true, nil
}

// cut cuts a page out of rows, of which one more than the limit was read.
func cut[T any](rows []T, limit int, cursor func(T) string) ([]T, string) {
	if len(rows) <= limit {
		return rows, ""
	}
	rows = rows[:limit]
	return rows, cursor(rows[limit-1])
}
