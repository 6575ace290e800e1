package serve

import (
	"net/http"
	"slices"
)

func init() {
	register(endpoint{pattern: "GET /v1/models", serve: (*Server).serveModels})
	register(endpoint{pattern: "GET /v1/models/{model}", serve: (*Server).serveModel})
}

// modelInfo is OpenAI's model object with vLLM's max_model_len.
type modelInfo struct {
	ID          string `json:"id"`
	Object      string `json:"object"`
	Created     int64  `json:"created"`
	OwnedBy     string `json:"owned_by"`
	MaxModelLen int    `json:"max_model_len"`
}

func (s *Server) serveModels(x *exchange) error {
	list := struct {
		Object string      `json:"object"`
		Data   []modelInfo `json:"data"`
	}{Object: "list"}
	for _, name := range s.config.Models {
		list.Data = append(list.Data, s.model(name))
	}
	return x.json(http.StatusOK, list)
}

func (s *Server) serveModel(x *exchange) error {
	if err := s.checkModel(x.rest); err != nil {
		return err
	}
	return x.json(http.StatusOK, s.model(x.rest))
}

func (s *Server) model(name string) modelInfo {
	return modelInfo{ID: name, Object: "model", Created: s.config.Created.Unix(), OwnedBy: s.config.Owner, MaxModelLen: s.config.Context}
}

// checkModel refuses a request for a model that is not served here: another one must not answer in its name.
func (s *Server) checkModel(name string) error {
	if name == "" {
		return missing("model")
	}
	if !slices.Contains(s.config.Models, name) {
		return modelNotFound(name, s.config.Models)
	}
	return nil
}

// checkModelOrNone is checkModel for endpoints that are not OpenAI's, whose API wants a model everywhere: there a request
// that names none means the one that is served, as with vLLM, and the reply names it.
func (s *Server) checkModelOrNone(name *string) error {
	if *name == "" {
		*name = s.config.Models[0]
	}
	return s.checkModel(*name)
}
