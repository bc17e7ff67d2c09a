// Command scepserver issues device identities by SCEP, for the local services of the demo and the tests.
//
// It runs micromdm/scep's server library on one loopback address. The scepserver of the library is not suitable: it
// always listens on all interfaces, and it refuses a second certificate for a device that enrolls again.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/go-kit/kit/log"
	"github.com/micromdm/scep/v2/cryptoutil"
	"github.com/micromdm/scep/v2/scep"
	scepserver "github.com/micromdm/scep/v2/server"
)

const validity = 365 * 24 * time.Hour

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "loopback address to listen on")
	caPath := flag.String("ca", "ca.pem", "PEM file of the CA certificate")
	keyPath := flag.String("key", "ca.key", "PKCS#8 PEM file of the CA's RSA key")
	flag.Parse()
	if err := serve(*listen, *caPath, *keyPath, os.Getenv("SCEP_CHALLENGE_PASSWORD")); err != nil {
		fmt.Fprintln(os.Stderr, "scepserver:", err)
		os.Exit(1)
	}
}

func serve(listen, caPath, keyPath, challenge string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%q is not a loopback address", host)
	}
	if challenge == "" {
		return errors.New("SCEP_CHALLENGE_PASSWORD is not set: set it, because otherwise all users of this machine can enroll")
	}
	ca, key, err := readCA(caPath, keyPath)
	if err != nil {
		return err
	}
	signer := scepserver.ChallengeMiddleware(challenge, issuer{ca: ca, key: key})
	logger := log.NewLogfmtLogger(log.NewSyncWriter(os.Stderr))
	svc, err := scepserver.NewService(ca, key, signer, scepserver.WithLogger(logger))
	if err != nil {
		return err
	}
	handler := scepserver.MakeHTTPHandler(scepserver.MakeServerEndpoints(svc), svc, logger)
	server := &http.Server{Addr: listen, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

// issuer signs every request that got past the challenge; it keeps no state, so it may sign many at once.
type issuer struct {
	ca  *x509.Certificate
	key *rsa.PrivateKey
}

func (i issuer) SignCSR(m *scep.CSRReqMessage) (*x509.Certificate, error) {
	keyID, err := cryptoutil.GenerateSubjectKeyID(m.CSR.PublicKey)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      m.CSR.Subject,
		NotBefore:    now.Add(-5 * time.Minute),
		NotAfter:     now.Add(validity),
		SubjectKeyId: keyID,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.ca, m.CSR.PublicKey, i.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func readCA(caPath, keyPath string) (*x509.Certificate, *rsa.PrivateKey, error) {
	caDER, err := readPEM(caPath, "CERTIFICATE")
	if err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(caDER)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", caPath, err)
	}
	keyDER, err := readPEM(keyPath, "PRIVATE KEY")
	if err != nil {
		return nil, nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", keyPath, err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("%s: SCEP needs an RSA key", keyPath)
	}
	return ca, key, nil
}

func readPEM(path, kind string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s: no PEM block %q", path, kind)
	}
	return block.Bytes, nil
}
