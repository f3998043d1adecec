package repeats

// Kinds is how many kinds are counted now.
func (h *Handler) Kinds() int {
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	return len(h.book.counter.kinds)
}
