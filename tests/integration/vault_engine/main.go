// Vault's own key-value engine (version 2) behind as much of Vault's HTTP interface as it needs:
// its values are in memory, and one token may do anything. Vault itself cannot be built from the
// module proxy, as it replaces modules by folders of its repository.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	hclog "github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/sdk/logical"
)

const mount = "/v1/acme/"

type server struct {
	engine  logical.Backend
	storage logical.Storage
	token   string
}

func newServer(ctx context.Context, token string) (*server, error) {
	storage := &logical.InmemStorage{}
	engine, err := kv.VersionedKVFactory(ctx, &logical.BackendConfig{
		Logger:      hclog.NewNullLogger(),
		StorageView: storage,
		BackendUUID: "acme",
		Config:      map[string]string{"version": "2", "uid": "acme"},
		System: &logical.StaticSystemView{
			DefaultLeaseTTLVal: time.Hour,
			MaxLeaseTTLVal:     time.Hour,
		},
	})
	if err != nil {
		return nil, err
	}
	err = engine.Initialize(ctx, &logical.InitializationRequest{Storage: storage})
	return &server{engine, storage, token}, err
}

func (s *server) ServeHTTP(writer http.ResponseWriter, asked *http.Request) {
	if asked.Header.Get("X-Vault-Token") != s.token {
		refuse(writer, http.StatusForbidden, "permission denied")
		return
	}
	request, err := s.request(asked)
	if err != nil {
		refuse(writer, http.StatusBadRequest, err.Error())
		return
	}
	response, err := s.engine.HandleRequest(asked.Context(), request)
	status, err := logical.RespondErrorCommon(request, response, err)
	switch {
	case err != nil:
		refuse(writer, status, err.Error())
	case status != 0:
		refuse(writer, status)
	case response == nil:
		writer.WriteHeader(http.StatusNoContent)
	case response.Data[logical.HTTPStatusCode] != nil:
		writer.WriteHeader(response.Data[logical.HTTPStatusCode].(int))
		_, _ = writer.Write([]byte(response.Data[logical.HTTPRawBody].(string)))
	default:
		_ = json.NewEncoder(writer).Encode(map[string]any{"data": response.Data})
	}
}

func (s *server) request(asked *http.Request) (*logical.Request, error) {
	request := &logical.Request{
		Storage:    s.storage,
		Path:       strings.TrimPrefix(asked.URL.Path, mount),
		MountPoint: strings.TrimPrefix(mount, "/v1/"),
		Data:       map[string]any{},
	}
	switch {
	case asked.Method == http.MethodDelete:
		request.Operation = logical.DeleteOperation
	case asked.Method == http.MethodGet && asked.URL.Query().Get("list") == "true":
		request.Operation = logical.ListOperation
	case asked.Method == http.MethodGet:
		request.Operation = logical.ReadOperation
	default:
		if err := json.NewDecoder(asked.Body).Decode(&request.Data); err != nil {
			return nil, err
		}
		request.Operation = logical.UpdateOperation
		_, exists, err := s.engine.HandleExistenceCheck(asked.Context(), request)
		if err == nil && !exists {
			request.Operation = logical.CreateOperation
		}
	}
	return request, nil
}

func refuse(writer http.ResponseWriter, status int, reasons ...string) {
	writer.WriteHeader(status)
	_ = json.NewEncoder(writer).Encode(map[string]any{"errors": append([]string{}, reasons...)})
}

// Arguments: the token, and a file that gets the port.
func main() {
	handler, err := newServer(context.Background(), os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	if err := os.WriteFile(os.Args[2]+".new", []byte(port), 0o600); err != nil {
		log.Fatal(err)
	}
	if err := os.Rename(os.Args[2]+".new", os.Args[2]); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, handler))
}
