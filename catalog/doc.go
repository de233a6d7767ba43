// Package catalog knows the alert types: what a producer may report, what each type's
// data must carry, how severe it is unless the producer says otherwise, and what to
// tell people who receive it.
//
// Each type is one file in types/, named after it: category, title in users' words,
// description, default severity, JSON Schema (draft 2020-12) of data, and an example.
// Keys of data that a schema does not name are kept. Types under "custom." need no
// file: they are accepted as they are.
//
// guidance.json holds what is known about the built-in threat filters; a user's file
// in the same form adds to it ([Catalog.LoadGuidance]).
package catalog
