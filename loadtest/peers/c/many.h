// What the clients of the comparison have in common: very many WebSocket connections from one thread.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { ADDRESSES = 1024, SUB = 128 /* buckets an octave: 0.8 % */ };

struct text { char *bytes; size_t len; };

// Latencies in ns, in buckets.
struct latencies {
	uint64_t n;
	int64_t worst;
	uint64_t buckets[64 * SUB];
};

static inline void die(const char *what) {
	fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
	exit(1);
}

static inline int64_t clock_ns(clockid_t id) {
	struct timespec t;
	clock_gettime(id, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// begun tells that what is read from now on counts anew.
static inline void begun(void) {
	printf("{\"event\":\"begun\",\"at_ns\":%lld}\n", (long long)clock_ns(CLOCK_MONOTONIC));
	fflush(stdout);
}

// frame appends a masked frame with at most 65535 bytes to out and returns its length.
static inline size_t frame(char *out, int opcode, const char *payload, size_t len) {
	static const char mask[4] = {0x12, 0x34, 0x56, 0x78};
	char *p = out;
	*p++ = 0x80 | opcode;
	if (len < 126) *p++ = 0x80 | len;
	else *p++ = (char)(0x80 | 126), *p++ = len >> 8, *p++ = len;
	memcpy(p, mask, 4);
	p += 4;
	for (size_t i = 0; i < len; i++) *p++ = payload[i] ^ mask[i & 3];
	return p - out;
}

// unescape resolves \r \n \\ \xHH in place and returns the new length.
static inline size_t unescape(char *p, size_t n) {
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		char c = p[i];
		if (c == '\\' && i + 1 < n) {
			unsigned hex = 0;
			c = p[++i];
			if (c == 'r') c = '\r';
			else if (c == 'n') c = '\n';
			else if (c == 'x' && sscanf(p + i + 1, "%2x", &hex) == 1) c = hex, i += 2;
		}
		p[len++] = c;
	}
	return len;
}

// load reads messages, one a line, and returns them as frames; an empty line ends the messages of a connection.
static inline struct text *load(const char *file, int opcode, int *blocks) {
	struct text *list = NULL;
	FILE *f = fopen(file, "r");
	if (!f) die(file);
	char *line = NULL;
	size_t cap = 0;
	int fresh = 1;
	for (ssize_t n; (n = getline(&line, &cap, f)) >= 0;) {
		if (n && line[n - 1] == '\n') n--;
		if (n == 0) {
			fresh = 1;
			continue;
		}
		size_t len = unescape(line, n);
		if (fresh) {
			list = realloc(list, (*blocks + 1) * sizeof *list);
			list[(*blocks)++] = (struct text){0};
			fresh = 0;
		}
		struct text *b = list + *blocks - 1;
		b->bytes = realloc(b->bytes, b->len + len + 8);
		b->len += frame(b->bytes + b->len, opcode, line, len);
	}
	free(line);
	fclose(f);
	if (!*blocks) fprintf(stderr, "client: %s has no messages\n", file), exit(1);
	return list;
}

// dial begins to connect from the i-th address. A small receive buffer is for who will not read.
static inline int dial(int i, int port, int small) {
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f100001 + i % ADDRESSES)};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1, bytes = 4096;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd < 0) die("socket");
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (small) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
	if (bind(fd, (void *)&from, sizeof from)) die("bind");
	if (connect(fd, (void *)&to, sizeof to) && errno != EINPROGRESS) die("connect");
	return fd;
}

// handshake asks for a WebSocket on a connection that dial began, and writes the request to out.
static inline int handshake(char out[1024], int fd, int port, const char *path, const char *subprotocol) {
	int err = 0;
	socklen_t size = sizeof err;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size);
	if (err) errno = err, die("connect");
	return snprintf(out, 1024,
		"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s%s%s\r\n",
		path, port, subprotocol ? "Sec-WebSocket-Protocol: " : "", subprotocol ? subprotocol : "", subprotocol ? "\r\n" : "");
}

// upgraded is the length of the answer to the handshake; 0 if it is not whole yet.
static inline size_t upgraded(char *p, size_t len) {
	char *end = memmem(p, len, "\r\n\r\n", 4);
	if (!end) return 0;
	if (len < 12 || memcmp(p, "HTTP/1.1 101", 12)) fprintf(stderr, "client: refused: %.*s\n", (int)(end - p), p), exit(1);
	return end + 4 - p;
}

// whole finds the first frame in what a server sent and returns its length; 0 if it is not whole yet.
static inline size_t whole(char *p, size_t len, int *opcode, struct text *payload) {
	unsigned char *h = (unsigned char *)p;
	if (len < 2) return 0;
	size_t head = 2, size = h[1] & 127;
	if (size == 126) head = 4;
	else if (size == 127) head = 10;
	if (len < head) return 0;
	if (size == 126) size = h[2] << 8 | h[3];
	else if (size == 127) size = 0;
	for (size_t i = 2; head == 10 && i < 10; i++) size = size << 8 | h[i];
	if (len < head + size) return 0;
	*opcode = h[0] & 15;
	*payload = (struct text){p + head, size};
	return head + size;
}

// keep makes rest a copy of what could not be used yet.
static inline void keep(struct text *rest, const char *p, size_t len) {
	if (len == 0) {
		free(rest->bytes);
		rest->bytes = NULL;
	} else {
		rest->bytes = realloc(rest->bytes, len);
		memcpy(rest->bytes, p, len);
	}
	rest->len = len;
}

static inline void took(struct latencies *l, int64_t ns) {
	if (ns < 0) ns = 0;
	int octave = 63 - __builtin_clzll(ns | SUB);
	l->n++;
	l->buckets[(octave - 7) * SUB + (ns >> (octave - 7))]++;
	if (ns > l->worst) l->worst = ns;
}

// quantile is the upper end of the bucket that holds the q-th of the latencies, in ns.
static inline int64_t quantile(const struct latencies *l, double q) {
	uint64_t want = q * l->n, sum = 0;
	for (int i = 0; i < 64 * SUB; i++) {
		if ((sum += l->buckets[i]) > want) {
			int shift = i < 2 * SUB ? 0 : i / SUB - 1;
			int64_t low = shift ? (int64_t)(i % SUB + SUB) << shift : i;
			int64_t high = low + (1LL << shift) - 1;
			return high < l->worst ? high : l->worst;
		}
	}
	return l->worst;
}
