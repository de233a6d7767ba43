package app

import (
	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations"
)

// Channels are the kinds of places this program delivers to, for what they say of
// themselves.
func Channels() []tocsin.Channel { return integrations.Channels(integrations.Options{}) }

// AlertTypes are the catalog's types, by category.
func AlertTypes() []catalog.AlertType { return catalog.Default().Types() }
