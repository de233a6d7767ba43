package activities

import (
	"go.temporal.io/sdk/temporal"

	"github.com/tocsin-alerts/tocsin"
)

// asApplicationError is the Temporal edge of the error codes: what cannot get better by
// trying again is not retried, and the code is the error's type.
func asApplicationError(err error) error {
	code := tocsin.CodeOf(err)
	switch code {
	case tocsin.CodeUnavailable, tocsin.CodeInternal:
		return err
	}
	return temporal.NewNonRetryableApplicationError(err.Error(), string(code), err)
}
