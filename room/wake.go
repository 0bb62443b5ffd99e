package room

import "container/heap"

// wakeHeap orders rooms by the game time at which they want a record, ties by ID
// so that every fold meets them in the same order.
type wakeHeap struct{ h wakeSlice }

// set puts r where its wake belongs, or takes it out when it is never.
func (w *wakeHeap) set(r *roomState) {
	switch {
	case r.index < 0:
		heap.Push(&w.h, r)
	default:
		heap.Fix(&w.h, r.index)
	}
}

func (w *wakeHeap) remove(r *roomState) {
	if r.index >= 0 {
		heap.Remove(&w.h, r.index)
	}
}

func (w *wakeHeap) first() *roomState {
	if len(w.h) == 0 {
		return nil
	}
	return w.h[0]
}

type wakeSlice []*roomState

func (s wakeSlice) Len() int { return len(s) }
func (s wakeSlice) Less(i, j int) bool {
	if s[i].wake != s[j].wake {
		return s[i].wake < s[j].wake
	}
	return s[i].id < s[j].id
}

func (s wakeSlice) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

func (s *wakeSlice) Push(x any) {
	r := x.(*roomState)
	r.index = len(*s)
	*s = append(*s, r)
}

func (s *wakeSlice) Pop() any {
	old := *s
	r := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	r.index = -1
	return r
}
