// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/atlhyper/atlhyper/internal/history/chunk"
	"github.com/atlhyper/atlhyper/internal/history/historytest"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// The peers write the rows that the store writes, into tables with the columns and
// indexes that its tables have, but without offsets, partitions, checks, or
// anything to tell a repetition by.

type sampleRow struct {
	NodeID int32
	SetID  int32
	AtMs   int64
	Data   []byte
}

func (sampleRow) TableName() string { return "gorm_samples" }

type eventRow struct {
	ClusterID                                                                                   int32
	UID                                                                                         string `gorm:"column:uid"`
	RV                                                                                          int64  `gorm:"column:rv"`
	LastMs, FirstMs, Occurrences                                                                int64
	Type                                                                                        int16
	Namespace, Name, Reason, Message, AboutKind, AboutNamespace, AboutName, AboutUID, FieldPath string
	Controller, Host                                                                            string
}

func (eventRow) TableName() string { return "gorm_events" }

// contest times peers that take turns with batches of rows.
type contest struct {
	b     *testing.B
	rows  int
	spent map[string]time.Duration
	// packing is what it took to make the peers' rows of samples; the store does that
	// within its own time.
	packing time.Duration
}

func (c *contest) time(peer string, do func() error) {
	begin := time.Now()
	if err := do(); err != nil {
		c.b.Fatalf("%s: %v", peer, err)
	}
	c.spent[peer] += time.Since(begin)
}

func (c *contest) report() {
	for peer, d := range c.spent {
		c.b.ReportMetric(float64(c.rows)/d.Seconds(), peer+"-rows/s")
	}
	ours := c.spent["store"].Seconds()
	c.b.ReportMetric(c.spent["copy"].Seconds()/ours, "x-copy")
	c.b.ReportMetric(c.spent["gorm"].Seconds()/ours, "x-gorm")
	if c.packing > 0 {
		c.b.ReportMetric((c.spent["copy"]+c.packing).Seconds()/ours, "x-copy-with-packing")
		c.b.ReportMetric((c.spent["gorm"]+c.packing).Seconds()/ours, "x-gorm-with-packing")
	}
	c.b.ReportMetric(0, "ns/op")
}

type peers struct {
	store *store.Store
	conn  *pgx.Conn
	gorm  *gorm.DB
}

func openPeers(b *testing.B) peers {
	b.Helper()
	dsn := dsns["postgres"](b)
	p := peers{store: open(b, dsn, store.Options{})}
	var err error
	if p.conn, err = pgx.Connect(b.Context(), dsn); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.conn.Close(b.Context()) })
	if p.gorm, err = gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard}); err != nil {
		b.Fatal(err)
	}
	if _, err := p.conn.Exec(b.Context(), `
		CREATE TABLE copy_samples (node_id int NOT NULL, set_id int NOT NULL, at_ms bigint NOT NULL, data bytea NOT NULL);
		ALTER TABLE copy_samples ALTER COLUMN data SET STORAGE EXTERNAL;
		CREATE INDEX ON copy_samples (node_id, at_ms);
		CREATE TABLE gorm_samples (LIKE copy_samples INCLUDING ALL);
		CREATE TABLE copy_events (LIKE events INCLUDING ALL);
		CREATE TABLE gorm_events (LIKE events INCLUDING ALL)`); err != nil {
		b.Fatal(err)
	}
	return p
}

// BenchmarkIngestSamples stores batches of one sample of each of many nodes.
func BenchmarkIngestSamples(b *testing.B) {
	for _, size := range []int{100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			p := openPeers(b)
			var nodes []*historytest.Node
			for i := range size {
				nodes = append(nodes, historytest.NewNode(fmt.Sprintf("node-%d", i), uint64(i)))
			}
			begin := time.Now().Add(-40 * time.Hour)
			c := &contest{b: b, spent: map[string]time.Duration{}}
			for round := 0; b.Loop(); round++ {
				at := begin.Add(time.Duration(round) * 15 * time.Second)
				var payloads []telemetry.Payload
				var copied [][]any
				var models []sampleRow
				for i, n := range nodes {
					s := n.Next()
					payloads = append(payloads, s)
					packing := time.Now()
					row := sampleRow{NodeID: int32(i), SetID: 1, AtMs: at.UnixMilli(), Data: chunk.AppendSample(nil, s)}
					c.packing += time.Since(packing)
					copied = append(copied, []any{row.NodeID, row.SetID, row.AtMs, row.Data})
					models = append(models, row)
				}
				batch := telemetry.NewBatch(telemetry.StreamNodeMetrics, 1, historytest.Records(uint64(round*size+1), payloads, func(int) time.Time { return at })) //nolint:gosec // small
				c.rows += size
				c.time("store", func() error { _, err := p.store.Append(b.Context(), cluster, batch); return err })
				c.time("copy", func() error {
					_, err := p.conn.CopyFrom(b.Context(), pgx.Identifier{"copy_samples"}, []string{"node_id", "set_id", "at_ms", "data"}, pgx.CopyFromRows(copied))
					return err
				})
				c.time("gorm", func() error { return p.gorm.CreateInBatches(models, 1000).Error })
			}
			c.report()
		})
	}
}

// BenchmarkIngestEvents stores events that are new.
func BenchmarkIngestEvents(b *testing.B) {
	for _, size := range []int{100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			p := openPeers(b)
			columns := []string{
				"cluster_id", "uid", "rv", "last_ms", "first_ms", "occurrences", "type", "namespace", "name", "reason", "message",
				"about_kind", "about_namespace", "about_name", "about_uid", "field_path", "controller", "host",
			}
			c := &contest{b: b, spent: map[string]time.Duration{}}
			for round := 0; b.Loop(); round++ {
				events := batch(uint64(round*size+1), uint64((round+1)*size)) //nolint:gosec // small
				var copied [][]any
				var models []eventRow
				for _, r := range events.Records {
					e := r.Payload.(*telemetry.Event) //nolint:forcetypeassert // made above
					m := eventRow{
						1, e.UID, int64(e.ResourceVersion), e.LastSeen.UnixMilli(), e.FirstSeen.UnixMilli(), int64(e.Count), int16(e.Type), e.Namespace, e.Name, //nolint:gosec // small
						e.Reason, e.Message, e.Regarding.Kind, e.Regarding.Namespace, e.Regarding.Name, e.Regarding.UID, e.FieldPath, e.Controller, e.Host,
					}
					models = append(models, m)
					copied = append(copied, []any{
						m.ClusterID, m.UID, m.RV, m.LastMs, m.FirstMs, m.Occurrences, m.Type, m.Namespace, m.Name, m.Reason, m.Message,
						m.AboutKind, m.AboutNamespace, m.AboutName, m.AboutUID, m.FieldPath, m.Controller, m.Host,
					})
				}
				c.rows += size
				c.time("store", func() error { _, err := p.store.Append(b.Context(), cluster, events); return err })
				c.time("copy", func() error {
					_, err := p.conn.CopyFrom(b.Context(), pgx.Identifier{"copy_events"}, columns, pgx.CopyFromRows(copied))
					return err
				})
				c.time("gorm", func() error { return p.gorm.CreateInBatches(models, 1000).Error })
			}
			c.report()
		})
	}
}
