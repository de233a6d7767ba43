package post

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strings"
)

// maxTLSClients bounds the transports kept for configurations with certificates of their
// own. Beyond it, each sender gets one that nobody shares.
const maxTLSClients = 256

// TLS is what a configuration brings for its receiver's certificates, as PEM texts. All
// are optional.
type TLS struct {
	// CA are the certificates that the receiver's must be signed by, in place of the system's.
	CA string
	// Cert and Key are shown to a receiver that asks for a certificate; both or neither.
	Cert, Key string
}

// WithTLS returns a client that follows the same rules with these certificates: c itself
// for the zero value, and the same one for equal texts. It is closed with c. Errors are
// sentences for the user that begin with what they are about, and hold no secret.
func (c *Client) WithTLS(id TLS) (*Client, error) {
	if id == (TLS{}) {
		return c, nil
	}
	conf, err := id.config(c.tls)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.others[id]; other != nil {
		return other, nil
	}
	other := newClient(c.opts, conf)
	if len(c.others) < maxTLSClients {
		if c.others == nil {
			c.others = map[TLS]*Client{}
		}
		c.others[id] = other
	}
	return other, nil
}

// config is base with the certificates.
func (id TLS) config(base *tls.Config) (*tls.Config, error) {
	conf := base.Clone()
	for _, text := range []struct{ name, pem string }{{"CA", id.CA}, {"client certificate", id.Cert}} {
		if err := onlyCertificates(text.name, text.pem); err != nil {
			return nil, err
		}
	}
	if id.CA != "" {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM([]byte(id.CA)) {
			return nil, errors.New("the CA holds no certificate; want PEM: -----BEGIN CERTIFICATE-----…")
		}
	}
	switch {
	case (id.Cert == "") != (id.Key == ""):
		return nil, errors.New("the client certificate and its key belong together; one is missing")
	case id.Cert != "":
		pair, err := tls.X509KeyPair([]byte(id.Cert), []byte(id.Key))
		if err != nil {
			// The cause may quote the key.
			return nil, errors.New("the client certificate and its key cannot be used together; want both as PEM")
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// onlyCertificates refuses texts with anything else in them: certificates are shown to
// everybody who may see a configuration, and many programs keep the key in the same file. It
// repeats nothing of the text.
func onlyCertificates(name, text string) error {
	if strings.Contains(strings.ToUpper(text), "PRIVATE KEY") { // also where the PEM is broken
		return fmt.Errorf("the %s holds a private key, which does not belong there; want certificates alone, and replace the key if others have seen it", name)
	}
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("the %s holds something other than certificates; want PEM: -----BEGIN CERTIFICATE-----…", name)
		}
	}
	return nil
}

// TLSConfig is for channels that speak TLS over Dial: at least 1.2, with the client's
// certificates.
func (c *Client) TLSConfig(serverName string) *tls.Config {
	conf := c.tls.Clone()
	conf.ServerName = serverName
	return conf
}

// Dial connects for channels that do not speak HTTP. network is "tcp" or "udp". The host is
// resolved, every address is checked, and a checked one is dialled. Errors are classified,
// hold no secret, and say that nothing was sent.
func (c *Client) Dial(ctx context.Context, network, hostport string) (net.Conn, error) {
	conn, err := c.dial(ctx, network, hostport)
	if err != nil {
		return nil, transportError(err, StepConnect, false, nil)
	}
	return conn, nil
}

// Lost classifies an error of a connection that Dial made. sent says that part of what
// was to be delivered may have arrived; step is what was being done, for the message.
func Lost(err error, step string, sent bool, redact *Redactor) error {
	return transportError(err, step, sent, redact)
}
