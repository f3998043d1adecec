// Package service puts convdel's parts together: imclient, the consumer, the budget in Redis if one is set, and the admin
// addresses. `convdel run`, `convdel demo` and the simulation run it.
//
// It reads no settings and makes no logger. These come from the command:
//
//	s, err := service.New(ctx, service.Config{Consumer: ..., IM: ...}, logger)
//	if err != nil {
//		return err
//	}
//	return s.Run(ctx) // until ctx ends; then it drains
package service
