module ios-mdm/tools/scepserver

go 1.24

require (
	github.com/go-kit/kit v0.4.0
	github.com/micromdm/scep/v2 v2.0.0
)

require (
	github.com/go-logfmt/logfmt v0.3.0 // indirect
	github.com/go-stack/stack v1.6.0 // indirect
	github.com/gorilla/context v0.0.0-20160226214623-1ea25387ff6f // indirect
	github.com/gorilla/mux v1.4.0 // indirect
	github.com/groob/finalizer v0.0.0-20170707115354-4c2ed49aabda // indirect
	github.com/kr/logfmt v0.0.0-20140226030751-b84e30acd515 // indirect
	github.com/pkg/errors v0.8.0 // indirect
	go.mozilla.org/pkcs7 v0.0.0-20200128120323-432b2356ecb1 // indirect
	golang.org/x/net v0.0.0-20170726083632-f5079bd7f6f7 // indirect
)

tool ios-mdm/tools/scepserver
