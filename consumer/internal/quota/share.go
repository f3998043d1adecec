package quota

// Share splits a quota of calls a second over all partitions of a topic, and returns the sum of the owned partitions'
// parts. The parts are whole numbers that add up to exactly the quota. With more partitions than calls the parts are
// fractions. These add up too, but several may fall due in the same second.
func Share(callsPerSecond int, owned []int, partitions int) float64 {
	if partitions > callsPerSecond {
		return float64(callsPerSecond) * float64(len(owned)) / float64(partitions)
	}
	whole := 0
	for _, id := range owned {
		whole += (id+1)*callsPerSecond/partitions - id*callsPerSecond/partitions
	}
	return float64(whole)
}
