package cache

import "time"

// BePatient has what is written and read wait for a slow machine: tests cannot do without it.
func BePatient() { dialTimeout, ioTimeout = 20*time.Second, 20*time.Second }
