package quota

// Share splits a quota of calls a second over a topic's partitions, of which there are so many, and returns what a replica
// has that owns some of them. The parts of the partitions are whole calls, and add up to exactly the quota. Where there are
// more partitions than calls, the parts are fractions: they add up too, but several may fall due in the same second.
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
