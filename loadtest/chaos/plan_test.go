package chaos

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tickcast/wire"
)

// drawnPlan draws a plan of any seed and allowed duration.
func drawnPlan(t *rapid.T) Plan {
	seconds := rapid.Int64Range(int64(leastDuration/time.Second), 1200).Draw(t, "seconds")
	return NewPlan(rapid.Uint64().Draw(t, "seed"), time.Duration(seconds)*time.Second)
}

func TestSameSeedSamePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawnPlan(t)
		if again := NewPlan(p.Seed, p.Duration); !reflect.DeepEqual(p, again) {
			t.Fatalf("seed %d gives %+v and %+v", p.Seed, p, again)
		}
	})
	if reflect.DeepEqual(NewPlan(1, defaultDuration).Steps, NewPlan(2, defaultDuration).Steps) {
		t.Error("seeds 1 and 2 give the same plan")
	}
}

// TestPlanKeepsTheClusterAlive: of no group are more away at once than it bears, by the
// plan, and never the same member twice.
func TestPlanKeepsTheClusterAlive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawnPlan(t)
		for i, s := range p.Steps {
			g, beside, all := infoOf(s.Kind).group, 1, 0
			for _, o := range p.Steps[:i] {
				if o.over() <= s.At {
					continue
				}
				if infoOf(o.Kind).group != postgres {
					all++
				}
				if infoOf(o.Kind).group == g {
					if beside++; o.Target == s.Target {
						t.Fatalf("%s at %s hits what is not whole since %s at %s", s, s.At, o, o.At)
					}
				}
			}
			if beside > groups[g].atOnce || all >= faultsAtOnce {
				t.Fatalf("%s at %s is one too many: %d of %s, %d in all", s, s.At, beside, g, all+1)
			}
		}
	})
	for g, info := range groups {
		if info.members > 1 && info.atOnce >= info.members {
			t.Errorf("all %s may be away at once", g)
		}
	}
	if 2*groups[log].atOnce >= groups[log].members {
		t.Error("the log may lose its majority")
	}
}

func TestPlanHasEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawnPlan(t)
		if len(p.Steps) < minFaults {
			t.Errorf("%d faults", len(p.Steps))
		}
		seen := map[Kind]int{}
		last := time.Duration(0)
		for _, s := range p.Steps {
			seen[s.Kind]++
			info := infoOf(s.Kind)
			if s.At < planLead || s.At < last || s.over() > p.Duration {
				t.Errorf("%s at %s, over at %s: out of time", s, s.At, s.over())
			}
			if s.Length < info.least || s.Length > info.most {
				t.Errorf("%s lasts %s, bounds are %s and %s", s, s.Length, info.least, info.most)
			}
			last = s.At
		}
		for _, k := range kinds() {
			if seen[k.kind] == 0 {
				t.Errorf("no %s", k.kind)
			}
		}
	})
}

// TestAPlanThatComesTooLateIsDrawnAnew has a seed whose first plan was too late.
func TestAPlanThatComesTooLateIsDrawnAnew(t *testing.T) {
	const seed, duration = 2, 524 * time.Second
	if first := drawPlan(rand.New(rand.NewPCG(seed, planStream)), seed, duration); first.isInTime() {
		t.Fatal("the first plan of this seed is in time: nothing is tested")
	}
	if p := NewPlan(seed, duration); !p.isInTime() {
		t.Errorf("%+v is out of time", p)
	}
}

func TestPlanIsPrinted(t *testing.T) {
	var out strings.Builder
	p := NewPlan(7, defaultDuration)
	if err := p.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(out.String(), "\n"); lines != len(p.Steps)+1 {
		t.Errorf("%d lines for %d steps:\n%s", lines, len(p.Steps), out.String())
	}
}

// TestRoomsAreInAllPartitions: whichever room server dies, a room changes its owner.
func TestRoomsAreInAllPartitions(t *testing.T) {
	names := roomNames()
	if len(names) != partitions || partitions < groups[rooms].members || crashRooms >= partitions {
		t.Errorf("%d rooms in %d partitions, %d of crash", len(names), partitions, crashRooms)
	}
	for p, name := range names {
		if !wire.ValidRoomID(name) || wire.PartitionOf(name, partitions) != p {
			t.Errorf("room %q is not one of partition %d", name, p)
		}
	}
}
