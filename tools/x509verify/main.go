// Command x509verify asks Go's crypto/x509 whether it accepts the chain of a TLS server, for the tests.
//
// It exits with 0 if the chain is accepted, and with 1 and the reason if it is refused.
package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	roots := flag.String("roots", "", "PEM file of the trusted roots")
	chain := flag.String("chain", "", "PEM file of what the server presents, the leaf first")
	host := flag.String("host", "", "host name that the leaf must be for")
	at := flag.String("at", "", "time of the verification, RFC 3339")
	flag.Parse()
	refusal, err := verify(*roots, *chain, *host, *at)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if refusal != nil {
		fmt.Println(refusal)
		os.Exit(1)
	}
}

// verify returns why the chain is refused, nil if it is accepted, and an error if it cannot be verified.
func verify(roots, chain, host, at string) (refusal, err error) {
	trusted, err := certificates(roots)
	if err != nil {
		return nil, err
	}
	presented, err := certificates(chain)
	if err != nil {
		return nil, err
	}
	if len(presented) == 0 {
		return nil, errors.New("the chain is empty")
	}
	moment, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return nil, err
	}
	options := x509.VerifyOptions{
		DNSName:       host,
		Roots:         pool(trusted),
		Intermediates: pool(presented[1:]),
		CurrentTime:   moment,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	_, refusal = presented[0].Verify(options)
	return refusal, nil
}

func certificates(file string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var found []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		found = append(found, certificate)
	}
	return found, nil
}

func pool(certificates []*x509.Certificate) *x509.CertPool {
	made := x509.NewCertPool()
	for _, certificate := range certificates {
		made.AddCert(certificate)
	}
	return made
}
