// The physical limit: a server that does nothing but send(2) one ready-made text frame to
// each of its WebSocket connections, in one thread. Everything else is compared with it.
//
//   bare PORT        listens on 127.0.0.1:PORT (0: any), says "listening PORT"
//
// Commands on standard input, one a line; the server ends with it:
//   publish RATE SIZE   RATE updates a second (0: flat out) with SIZE bytes of payload
//   stop                says "stopped SEQ SENT SKIPPED" and waits
//
// An update is {"seq":N,"ts":T,"x":"xx…"}: T is the CLOCK_MONOTONIC time in ns at which it was
// due. A socket that takes nothing is skipped; the tail of a frame that it took in part goes first.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNS = 65536, MAX_SIZE = 65535, MAX_REQUEST = 2048 };

struct conn {
	int fd;
	int used;                   // bytes of the request or the tail
	char *pending;              // request until the handshake is done, then the tail of a frame
	int open;                   // the handshake is done
};

static struct conn conns[MAX_CONNS];
static int n_conns;
static int epfd, listener;
static uint64_t seq, sent, skipped;
static double rate;             // updates a second while publishing
static int size, publishing;

static void die(const char *what) {
	perror(what);
	exit(1);
}

static int64_t now_ns(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static uint32_t rol(uint32_t x, int n) { return x << n | x >> (32 - n); }

// sha1 hashes a message of at most 119 bytes: a key and the GUID have 60.
static void sha1(const char *text, size_t len, uint8_t out[20]) {
	uint8_t block[128] = {0};
	uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	size_t total = len < 56 ? 64 : 128;
	memcpy(block, text, len);
	block[len] = 0x80;
	block[total - 2] = len * 8 >> 8;
	block[total - 1] = len * 8;
	for (size_t at = 0; at < total; at += 64) {
		uint32_t w[80], v[5];
		for (int i = 0; i < 16; i++) {
			const uint8_t *b = block + at + 4 * i;
			w[i] = (uint32_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
		}
		for (int i = 16; i < 80; i++) w[i] = rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
		memcpy(v, h, sizeof v);
		for (int i = 0; i < 80; i++) {
			uint32_t b = v[1], c = v[2], d = v[3];
			uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
			uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
			uint32_t t = rol(v[0], 5) + f + v[4] + k + w[i];
			v[4] = d, v[3] = c, v[2] = rol(b, 30), v[1] = v[0], v[0] = t;
		}
		for (int i = 0; i < 5; i++) h[i] += v[i];
	}
	for (int i = 0; i < 20; i++) out[i] = h[i / 4] >> (24 - 8 * (i % 4));
}

// accept_value is the value of Sec-WebSocket-Accept (RFC 6455, section 4.2.2).
static void accept_value(const char *key, size_t len, char out[29]) {
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char text[100];
	uint8_t hash[21] = {0};
	int n = snprintf(text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", (int)len, key);
	sha1(text, n, hash);
	for (int i = 0; i < 7; i++) {
		uint32_t v = hash[3 * i] << 16 | hash[3 * i + 1] << 8 | hash[3 * i + 2];
		for (int j = 0; j < 4; j++) out[4 * i + j] = digits[v >> (18 - 6 * j) & 63];
	}
	out[27] = '=';
	out[28] = 0;
}

static void drop(struct conn *c) {
	close(c->fd);
	free(c->pending);
	*c = conns[--n_conns];
	if (c != conns + n_conns && !c->open) {
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
		epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &e);
	}
}

// handshake reads the request and answers it. Whatever clients send later is not read.
static void handshake(struct conn *c) {
	ssize_t n = read(c->fd, c->pending + c->used, MAX_REQUEST - 1 - c->used);
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN) drop(c);
		return;
	}
	c->used += n;
	c->pending[c->used] = 0;
	if (!strstr(c->pending, "\r\n\r\n")) return;
	char *key = strcasestr(c->pending, "\r\nSec-WebSocket-Key:");
	if (!key) return drop(c);
	key += 20;
	key += strspn(key, " ");
	char value[29], answer[200];
	accept_value(key, strcspn(key, " \r") > 40 ? 0 : strcspn(key, " \r"), value);
	int len = snprintf(answer, sizeof answer,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", value);
	if (send(c->fd, answer, len, MSG_NOSIGNAL) != len) return drop(c);
	epoll_ctl(epfd, EPOLL_CTL_DEL, c->fd, NULL);
	free(c->pending);
	c->pending = NULL;
	c->used = 0;
	c->open = 1;
}

static void accept_all(void) {
	int fd;
	while (n_conns < MAX_CONNS && (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct conn *c = conns + n_conns++;
		*c = (struct conn){.fd = fd, .pending = malloc(MAX_REQUEST)};
		int on = 1;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
		if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e)) die("epoll_ctl");
	}
}

// finish_tail sends what is left of a frame; 0 if something still is.
static int finish_tail(struct conn *c) {
	ssize_t n = send(c->fd, c->pending, c->used, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0) memmove(c->pending, c->pending + n, c->used -= n);
	if (c->used) return 0;
	free(c->pending);
	c->pending = NULL;
	return 1;
}

// broadcast sends the update that was due at ts. It returns the number of sockets that took it.
static int broadcast(int64_t ts) {
	static char frame[MAX_SIZE + 4];
	char *p = frame;
	*p++ = (char)0x81;
	if (size < 126) *p++ = size;
	else *p++ = 126, *p++ = size >> 8, *p++ = size;
	int head = snprintf(p, MAX_SIZE, "{\"seq\":%llu,\"ts\":%lld,\"x\":\"", (unsigned long long)++seq, (long long)ts);
	memset(p + head, 'x', size - head);
	memcpy(p + size - 2, "\"}", 2);
	int len = p + size - frame, took = 0;
	for (int i = 0; i < n_conns; i++) {
		struct conn *c = conns + i;
		if (!c->open) continue;
		if (c->pending && !finish_tail(c)) {
			skipped++;
			continue;
		}
		ssize_t n = send(c->fd, frame, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n == len) {
			took++;
		} else if (n > 0) {
			c->pending = malloc(c->used = len - n);
			memcpy(c->pending, frame + n, c->used);
			took++;
		} else if (errno == EAGAIN) {
			skipped++;
		} else {
			drop(c);
			i--;
		}
	}
	sent += took;
	return took;
}

// command obeys one line of standard input.
static void command(void) {
	char line[100];
	if (!fgets(line, sizeof line, stdin)) exit(0);
	if (sscanf(line, "publish %lf %d", &rate, &size) == 2 && rate >= 0 && size >= 64 && size <= MAX_SIZE) {
		publishing = 1;
		sent = skipped = 0;
	} else if (!strcmp(line, "stop\n")) {
		publishing = 0;
		printf("stopped %llu %llu %llu\n", (unsigned long long)seq, (unsigned long long)sent, (unsigned long long)skipped);
		fflush(stdout);
	} else {
		fprintf(stderr, "bare: command not understood: %s", line);
		exit(1);
	}
}

// serve looks for connections, handshakes and commands until the time, or for ever if it is negative.
static void serve(int64_t until) {
	struct pollfd fds[] = {{epfd, POLLIN, 0}, {0, POLLIN, 0}};
	struct timespec wait, *timeout = NULL;
	if (until >= 0) {
		int64_t left = until - now_ns();
		if (left < 0) left = 0;
		wait = (struct timespec){left / 1000000000, left % 1000000000};
		timeout = &wait;
	}
	if (ppoll(fds, 2, timeout, NULL) < 0 && errno != EINTR) die("ppoll");
	if (fds[0].revents) {
		struct epoll_event e;
		while (epoll_wait(epfd, &e, 1, 0) == 1) { // one at a time: drop moves connections
			if (e.data.ptr) handshake(e.data.ptr);
			else accept_all();
		}
	}
	if (fds[1].revents) command();
}

int main(int argc, char **argv) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int on = 1;
	if (argc == 2) a.sin_port = htons(atoi(argv[1]));
	setvbuf(stdin, NULL, _IONBF, 0); // a line that is read ahead would not wake ppoll
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listener, (void *)&a, len) || listen(listener, 4096) || getsockname(listener, (void *)&a, &len)) die("listen");
	epfd = epoll_create1(0);
	struct epoll_event e = {.events = EPOLLIN};
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &e)) die("epoll_ctl");
	printf("listening %d\n", ntohs(a.sin_port));
	fflush(stdout);
	for (;;) {
		if (!publishing) {
			serve(-1);
			continue;
		}
		int64_t due = now_ns();
		for (int64_t first = due, i = 0; publishing; i++) {
			if (rate > 0) due = first + (int64_t)(i * 1e9 / rate);
			else due = now_ns();
			if (i > 0) serve(rate > 0 ? due : 0); // the first goes out even if the next command is there already
			while (publishing && now_ns() < due) serve(due);
			if (publishing && !broadcast(due) && rate == 0) usleep(1000); // every socket is full
		}
	}
}
