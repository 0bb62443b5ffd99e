package bench

import (
	"cmp"
	"slices"
)

// number is what can be ordered and halved.
type number interface {
	~int | ~int64 | ~uint64 | ~float64
}

// median is the middle of the values, the mean of the two middle ones of an even number, 0 of none.
func median[T number](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// medianOf is the median of what f finds in the elements.
func medianOf[E any, T number](list []E, f func(E) T) T {
	values := make([]T, len(list))
	for i, e := range list {
		values[i] = f(e)
	}
	return median(values)
}

// ratio is a to b, 0 if there is nothing to compare with.
func ratio[T number](a, b T) float64 {
	if cmp.Compare(b, 0) == 0 {
		return 0
	}
	return float64(a) / float64(b)
}
