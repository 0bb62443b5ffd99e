package fanout

// Ways of sending for the tests of package fanout_test.
const WayUring, WayRaw, WayWrite = wayUring, wayRaw, wayWrite

// WayConfig makes a hub use a way.
func WayConfig(way string) Config {
	return Config{SingleSends: way != wayUring, PlainWrite: way == wayWrite}
}

// Missing tells why a way is not to be had on this system.
func Missing(way string) error {
	if way != wayUring {
		return nil
	}
	s, err := openUring()
	if err == nil {
		s.close()
	}
	return err
}
