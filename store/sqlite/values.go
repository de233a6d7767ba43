package sqlite

import (
	"encoding/json"
	"fmt"
	"time"
)

// micros is how times are stored.
func micros(t time.Time) int64 { return t.UnixMicro() }

// maybe stores nil as NULL.
func maybe(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.UnixMicro()
}

// at scans a time.
type at struct{ t *time.Time }

// Scan implements sql.Scanner.
func (a at) Scan(v any) error {
	us, ok := v.(int64)
	if !ok {
		return fmt.Errorf("reading a time: got %T", v)
	}
	*a.t = time.UnixMicro(us).UTC()
	return nil
}

// atMaybe scans a time or NULL.
type atMaybe struct{ t **time.Time }

// Scan implements sql.Scanner.
func (a atMaybe) Scan(v any) error {
	if *a.t = nil; v == nil {
		return nil
	}
	var t time.Time
	if err := (at{&t}).Scan(v); err != nil {
		return err
	}
	*a.t = &t
	return nil
}

// inJSON scans JSON; NULL leaves the value alone.
type inJSON struct{ into any }

// Scan implements sql.Scanner.
func (j inJSON) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return json.Unmarshal([]byte(v), j.into)
	case []byte:
		return json.Unmarshal(v, j.into)
	}
	return fmt.Errorf("reading JSON: got %T", v)
}

// asJSON encodes what always can be: plain structs, lists and maps of text.
func asJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}
