package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const goodSecret = "7c1f0a93be64d825f7c1f0a93be64d82"

func TestSecretsAreDrawnOnce(t *testing.T) {
	c := source{args: []string{"--data=" + filepath.Join(t.TempDir(), "d")}}.mustLoad(t)
	first, err := loadSecrets(c, ProcessServe, true)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(c.secretsDir())
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v; want mode 0700", info.Mode(), err)
	}
	for _, name := range []string{roomSecretName, jwtSecretName, operatorKeyName} {
		info, err := os.Stat(filepath.Join(c.secretsDir(), name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", name, info, err)
		}
	}
	if string(first.room) == string(first.jwt) || len(first.room) != 2*secretBytes || len(first.jwtPrevious) != 0 {
		t.Errorf("drawn secrets: %d and %d bytes", len(first.room), len(first.jwt))
	}
	again, err := loadSecrets(c, ProcessServe, true)
	if err != nil || string(again.room) != string(first.room) || again.operatorKey != first.operatorKey {
		t.Errorf("the second start has other secrets (%v)", err)
	}
}

func TestDamagedSecretIsNotReplaced(t *testing.T) {
	c := source{args: []string{"--data=" + t.TempDir()}}.mustLoad(t)
	if _, err := loadSecrets(c, ProcessServe, true); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(c.secretsDir(), roomSecretName)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadSecrets(c, ProcessServe, true); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("an empty secret: %v", err)
	}
}

func TestExternalSecretsAreMandatory(t *testing.T) {
	external := []string{"--nats-url=n", "--redis-url=redis://r", "--data=" + t.TempDir()}
	file := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(file, []byte(goodSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why     string
		process Process
		args    []string
		env     []string
		want    string // empty: no error
	}{
		{"room without", ProcessRoom, nil, nil, "TICKCAST_ROOM_SECRET"},
		{"room by value", ProcessRoom, nil, []string{"TICKCAST_ROOM_SECRET=" + goodSecret}, ""},
		{"room by file", ProcessRoom, []string{"--room-secret-file=" + file}, nil, ""},
		{"both", ProcessRoom, []string{"--room-secret-file=" + file}, []string{"TICKCAST_ROOM_SECRET=" + goodSecret}, "both set"},
		{"no file", ProcessRoom, []string{"--room-secret-file=" + file + "x"}, nil, file + "x"},
		{"gateway without", ProcessGateway, nil, nil, "TICKCAST_JWT_SECRET"},
		{"gateway needs both", ProcessGateway, []string{"--jwt-secret-file=" + file}, nil, "TICKCAST_OPERATOR_KEY"},
		{"ledger needs none", ProcessLedger, nil, nil, ""},
		{"serve draws none", ProcessServe, nil, nil, "TICKCAST_ROOM_SECRET"},
		{"short", ProcessRoom, nil, []string{"TICKCAST_ROOM_SECRET=" + goodSecret[:31]}, "too short"},
		{"example", ProcessRoom, nil, []string{"TICKCAST_ROOM_SECRET=change-me-" + goodSecret}, "example"},
		{"simple", ProcessRoom, nil, []string{"TICKCAST_ROOM_SECRET=" + strings.Repeat("ab", 20)}, "too simple"},
	} {
		_, err := loadSecrets(source{args: append(c.args, external...), env: c.env}.mustLoad(t), c.process, true)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.why, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), goodSecret) {
			t.Errorf("%s: the error tells the secret", c.why)
		}
	}
}

func TestDataDirectoryIsLocked(t *testing.T) {
	c := source{args: []string{"--data=" + filepath.Join(t.TempDir(), "d")}}.mustLoad(t)
	release, err := lockData(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockData(c); err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("a second process: %v", err)
	}
	release()
	release, err = lockData(c)
	if err != nil {
		t.Fatal(err)
	}
	release()
}
