// Package service puts convdel's parts together: imclient, the consumer, the budget in Redis where there is one,
// and the admin addresses. `convdel run` and `convdel demo` run it, and so does the simulation.
//
// It reads no settings and makes no logger: who uses it has done that.
//
//	s, err := service.New(ctx, service.Config{Consumer: ..., IM: ...}, logger)
//	if err != nil {
//		return err
//	}
//	return s.Run(ctx) // until ctx ends; then it drains
package service
