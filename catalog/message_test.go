package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

func TestMessageRoundTrip(t *testing.T) {
	h := header{Epoch: "e", PrevHash: asset.Digest{1}, Schema: schema, MinReader: reader, CommitTS: time.Unix(1, 2).UTC()}
	want := []transaction{
		{"t1", []Mutation{putProduct("shop"), putAsset("a", 1, 2), putLink("shop", "naïve <&>\u2028.jpg", "a")}},
		{"t2", []Mutation{deleteLink("shop", "x"), {DeleteAsset: "a"}, {DeleteProduct: "shop"}}},
	}
	var encoded [][]byte
	for _, tx := range want {
		b, err := json.Marshal(tx)
		if err != nil {
			t.Fatal(err)
		}
		encoded = append(encoded, b)
	}
	data, err := encodeMessage(h, encoded)
	if err != nil {
		t.Fatal(err)
	}
	m, err := decodeMessage(data)
	if err != nil {
		t.Fatal(err)
	}
	if m.header != h || !reflect.DeepEqual(m.Transactions, want) {
		t.Fatalf("%+v", m)
	}
	checkMembers(t, data)
}

// checkMembers fails unless data is an object with the members that the log's readers rely on.
func checkMembers(t *testing.T, data []byte) {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"epoch", "prev_hash", "schema", "min_reader", "commit_ts", "transactions", "hash"} {
		if _, ok := members[name]; !ok {
			t.Error("there is no member", name)
		}
		delete(members, name)
	}
	if len(members) != 0 {
		t.Error(members)
	}
}

// No bit of a message can change, and none can be missing, without its being noticed.
func TestEveryBitCounts(t *testing.T) {
	data := encoded(t, made(t), nil, `{"put_product":{"name":"shop"}}`)
	for i := range data {
		for bit := range 8 {
			flipped := bytes.Clone(data)
			flipped[i] ^= 1 << bit
			if _, err := decodeMessage(flipped); !errors.Is(err, asset.ErrCorrupt) {
				t.Errorf("bit %d of byte %d (%c): %v", bit, i, data[i], err)
			}
		}
		if _, err := decodeMessage(data[:i]); !errors.Is(err, asset.ErrCorrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

// sealed puts the right hash behind body, so that the fuzzer gets past it.
func sealed(body []byte) []byte {
	sum := sha256.Sum256(body)
	data := append(bytes.Clone(body), hashStart...)
	return append(hex.AppendEncode(data, sum[:]), hashEnd...)
}

func FuzzDecodeMessage(f *testing.F) {
	whole := encoded(f, made(f), nil, `{"put_product":{"name":"shop"}},{"put_asset":{"id":"a","owner":"shop","status":"ACTIVE","current":1,"versions":[{"version":1,"digest":"`+asset.Digest{1}.String()+`"}]}},{"put_link":{"product":"shop","name":"x","asset":"a"}}`)
	body, _, _ := cutLast(whole, hashStart)
	f.Add(whole)
	f.Add(body)
	f.Add([]byte(`{"transactions":[{"mutations":[{"delete_link":{}},{"put_link":{}},{"put_asset":{"versions":[{},{}]}},{"delete_asset":"a"}]}]`))
	f.Add([]byte(`{"min_reader":2,"transactions":7`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, data := range [][]byte{data, sealed(data)} {
			m, err := decodeMessage(data)
			if err != nil {
				continue
			}
			if sum := sha256.Sum256(data[:len(data)-len(hashStart)-2*len(m.hash)-len(hashEnd)]); sum != m.hash {
				t.Fatal("the hash does not hold")
			}
			v := new(View).fork()
			v.advance(1, m) // whatever a log holds can be applied
			checkReads(v)
			for _, tx := range m.Transactions {
				_, _ = new(View).with(tx.Mutations)
			}
		}
	})
}

// checkReads calls every reader of v.
func checkReads(v *View) {
	dump(v)
	for p := range v.Products() {
		for _, l := range v.Links(p.Name, "", "", 10) {
			v.Lookup(l.Product, l.Name)
		}
	}
	v.reversed().originals.Scan(func(key string, _ use) bool {
		v.Original(asset.Digest([]byte(key)[:32]))
		return true
	})
}

// BenchmarkDecode decodes a message of 128 transactions, in transactions per second.
func BenchmarkDecode(b *testing.B) {
	var transactions [][]byte
	for range maxGroup {
		tx, err := json.Marshal(transaction{"t", []Mutation{putAsset("a", 1), putLink("shop", "banners/hero.jpg", "a")}})
		if err != nil {
			b.Fatal(err)
		}
		transactions = append(transactions, tx)
	}
	data, err := encodeMessage(header{}, transactions)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeMessage(data); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*maxGroup)/b.Elapsed().Seconds(), "transactions/s")
}

// An append to a copy of a record from a view must not write into the array that the view's record has.
func TestRecordsHaveNoSpareCapacity(t *testing.T) {
	d := asset.Digest{1}.String()
	m, err := decodeMessage(encoded(t, made(t), nil,
		`{"put_product":{"name":"shop","origins":["a","b","c","d","e"]}},{"put_asset":{"tags":["a","b","c","d","e"],"versions":[{"digest":"`+d+`"},{"digest":"`+d+`"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	p, a := m.Transactions[0].Mutations[0].PutProduct, m.Transactions[0].Mutations[1].PutAsset
	if cap(p.Origins) != 5 || cap(a.Tags) != 5 || cap(a.Versions) != 2 {
		t.Fatal(cap(p.Origins), cap(a.Tags), cap(a.Versions))
	}
}
