// A minimal WebSocket client that is many: the same load for every server, in one thread.
//
//   client -p PORT -n CONNECTIONS [-u PATH] [-P SUBPROTOCOL] [-w WINDOW] [-i FILE] [-b]
//          [-r READY] [-q PING -a PONG] [-s STUCK]
//
// It connects from many addresses in 127.16.0.0/14, at most WINDOW at a time, sends each
// connection its messages of FILE (-b: as binary), and a connection is ready when a message
// contains READY (without -r: when the handshake is done). A message that begins with PING is
// answered with PONG. The first STUCK connections are not read once they are ready.
//
// FILE holds a message a line; an empty line ends the messages of a connection. Connections share
// them in turn. Messages, READY, PING and PONG may have the escapes \r \n \\ \xHH.
//
// Updates are found in messages by their keys: "seq":N, which grows by one, then "ts":T, the
// CLOCK_MONOTONIC time in ns at which the update was due.
//
// It says {"event":"ready",…} when all are ready, and obeys lines of standard input:
//   begin   starts to count anew, and says {"event":"begun",…}; begin N: updates after number N
//   end     says what was counted, as one line of JSON
// and ends with standard input, or when a connection fails before all are ready.

#include "many.h"
#include <sys/epoll.h>

enum { BUFFER = 4 << 20 };
enum state { CONNECTING, HANDSHAKE, JOINING, READY, CLOSED };

struct conn {
	int fd;
	enum state state;
	uint64_t last, seen;    // newest seq; bit i: last-i was received
	struct text rest;       // a message that is not whole yet
};

static int port, n_conns, window = 256, binary, stuck;
static const char *path = "/", *subprotocol, *file;
static struct text ready_text, ping_text, pong_text;
static struct conn *conns;
static struct text *blocks;       // framed messages of a connection each
static int n_blocks;
static int epfd, opened, shaken, ready;
static int64_t started, shaken_at;
static char buffer[BUFFER];

static struct {
	int64_t began, cpu;
	uint64_t after, bytes, reads, missing, duplicate, reordered;
	struct latencies updates;
} count;
static uint64_t closed; // connections that ended after they were ready

static void watch(struct conn *c, int op, uint32_t events) {
	struct epoll_event e = {.events = events, .data.ptr = c};
	if (epoll_ctl(epfd, op, c->fd, &e)) die("epoll_ctl");
}

static void open_next(void) {
	struct conn *c = conns + opened;
	c->fd = dial(opened, port, opened < stuck);
	watch(c, EPOLL_CTL_ADD, EPOLLOUT);
	opened++;
}

// put sends bytes that the empty send buffer of a client always takes.
static void put(struct conn *c, const char *p, size_t len) {
	if (send(c->fd, p, len, MSG_NOSIGNAL) != (ssize_t)len && c->state != READY) die("send");
}

static void request(struct conn *c) {
	char text[1024];
	int n = handshake(text, c->fd, port, path, subprotocol);
	c->state = HANDSHAKE;
	watch(c, EPOLL_CTL_MOD, EPOLLIN);
	put(c, text, n);
}

static void reset(uint64_t after) {
	memset(&count, 0, sizeof count);
	count.after = after;
	count.cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	count.began = clock_ns(CLOCK_MONOTONIC);
}

static void become_ready(struct conn *c) {
	c->state = READY;
	if (c - conns < stuck && epoll_ctl(epfd, EPOLL_CTL_DEL, c->fd, NULL)) die("epoll_ctl");
	if (++ready == n_conns) {
		printf("{\"event\":\"ready\",\"connections\":%d,\"handshake_ns\":%lld,\"ready_ns\":%lld}\n", n_conns,
			(long long)(shaken_at - started), (long long)(clock_ns(CLOCK_MONOTONIC) - started));
		fflush(stdout);
		reset(0);
	} else if (opened < n_conns) {
		open_next();
	}
}

// update counts one update.
static void update(struct conn *c, uint64_t seq, int64_t ts, int64_t now) {
	if (seq > count.after) took(&count.updates, now - ts);
	if (c->last && seq > c->last) {
		uint64_t step = seq - c->last;
		count.missing += step - 1;
		c->seen = step < 64 ? c->seen << step | 1 : 1;
	} else if (c->last) {
		uint64_t behind = c->last - seq;
		if (behind > 63 || c->seen >> behind & 1) {
			count.duplicate++;
		} else {
			c->seen |= 1ULL << behind;
			count.missing--;
			count.reordered++;
		}
		return;
	} else {
		c->seen = ~0ULL; // what was before the first does not count
	}
	c->last = seq;
}

// message looks at the payload of a data frame.
static void message(struct conn *c, const char *p, size_t len, int64_t now) {
	const char *end = p + len;
	if (c->state == JOINING && memmem(p, len, ready_text.bytes, ready_text.len)) become_ready(c);
	if (ping_text.len && len >= ping_text.len && !memcmp(p, ping_text.bytes, ping_text.len)) {
		char out[256];
		put(c, out, frame(out, binary ? 2 : 1, pong_text.bytes, pong_text.len));
	}
	uint64_t seq = 0;
	for (; p < end && (p = memchr(p, '"', end - p)); p++) {
		if (end - p > 6 && !memcmp(p, "\"seq\":", 6)) seq = strtoull(p + 6, NULL, 10);
		if (seq && end - p > 5 && !memcmp(p, "\"ts\":", 5)) update(c, seq, strtoll(p + 5, NULL, 10), now), seq = 0;
	}
}

static void lose(struct conn *c) {
	if (c->state != READY) fprintf(stderr, "client: a connection ended before it was ready\n"), exit(1);
	close(c->fd);
	keep(&c->rest, NULL, 0);
	c->state = CLOSED;
	closed++;
}

// consume takes whole frames from the bytes and returns how many bytes they had.
static size_t consume(struct conn *c, char *p, size_t len, int64_t now) {
	size_t used = 0, n;
	int opcode;
	struct text payload;
	while (c->state != CLOSED && (n = whole(p + used, len - used, &opcode, &payload))) {
		used += n;
		if (opcode <= 2) {
			message(c, payload.bytes, payload.len, now);
		} else if (opcode == 8) {
			lose(c);
		} else if (opcode == 9) {
			char out[140];
			put(c, out, frame(out, 10, payload.bytes, payload.len));
		}
	}
	return used;
}

// answer takes the answer to the handshake from the bytes; 0 if it is not whole yet.
static size_t answer(struct conn *c, char *p, size_t len) {
	size_t n = upgraded(p, len);
	if (!n) return 0;
	if (++shaken == n_conns) shaken_at = clock_ns(CLOCK_MONOTONIC);
	c->state = JOINING;
	if (n_blocks) {
		struct text *b = blocks + (c - conns) % n_blocks;
		put(c, b->bytes, b->len);
	}
	if (!ready_text.len) become_ready(c);
	return n;
}

static void receive(struct conn *c) {
	size_t len = c->rest.len;
	if (len) memcpy(buffer, c->rest.bytes, len);
	ssize_t n = read(c->fd, buffer + len, BUFFER - 1 - len);
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN) lose(c);
		return;
	}
	int64_t now = clock_ns(CLOCK_MONOTONIC);
	count.reads++;
	count.bytes += n;
	len += n;
	buffer[len] = 0;
	size_t used = c->state == HANDSHAKE ? answer(c, buffer, len) : 0;
	if (c->state >= JOINING) used += consume(c, buffer + used, len - used, now);
	if (c->state != CLOSED) keep(&c->rest, buffer + used, len - used);
}

static void report(void) {
	int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - count.cpu, span = clock_ns(CLOCK_MONOTONIC) - count.began;
	uint64_t low = UINT64_MAX, high = 0;
	for (struct conn *c = conns + stuck; c < conns + n_conns; c++) {
		if (c->state == CLOSED) continue;
		if (c->last < low) low = c->last;
		if (c->last > high) high = c->last;
	}
	printf("{\"event\":\"report\",\"took_ns\":%lld,\"cpu_ns\":%lld,\"updates\":%llu,\"bytes\":%llu,\"reads\":%llu,"
		"\"missing\":%llu,\"duplicate\":%llu,\"reordered\":%llu,\"closed\":%llu,\"last_min\":%llu,\"last_max\":%llu,"
		"\"p50_ns\":%lld,\"p99_ns\":%lld,\"p999_ns\":%lld,\"max_ns\":%lld}\n",
		(long long)span, (long long)cpu, (unsigned long long)count.updates.n, (unsigned long long)count.bytes, (unsigned long long)count.reads,
		(unsigned long long)count.missing, (unsigned long long)count.duplicate, (unsigned long long)count.reordered,
		(unsigned long long)closed, (unsigned long long)(high ? low : 0), (unsigned long long)high,
		(long long)quantile(&count.updates, .5), (long long)quantile(&count.updates, .99), (long long)quantile(&count.updates, .999), (long long)count.updates.worst);
	fflush(stdout);
}

static void command(void) {
	char line[100];
	unsigned long long after = 0;
	if (!fgets(line, sizeof line, stdin)) exit(0);
	if (!strcmp(line, "begin\n") || sscanf(line, "begin %llu", &after) == 1) reset(after), begun();
	else if (!strcmp(line, "end\n")) report();
	else fprintf(stderr, "client: command not understood: %s", line), exit(1);
}

static void options(int argc, char **argv) {
	for (int o; (o = getopt(argc, argv, "p:n:u:P:w:i:br:q:a:s:")) != -1;) {
		switch (o) {
		case 'p': port = atoi(optarg); break;
		case 'n': n_conns = atoi(optarg); break;
		case 'u': path = optarg; break;
		case 'P': subprotocol = optarg; break;
		case 'w': window = atoi(optarg); break;
		case 'i': file = optarg; break;
		case 'b': binary = 1; break;
		case 'r': ready_text = (struct text){optarg, unescape(optarg, strlen(optarg))}; break;
		case 'q': ping_text = (struct text){optarg, unescape(optarg, strlen(optarg))}; break;
		case 'a': pong_text = (struct text){optarg, unescape(optarg, strlen(optarg))}; break;
		case 's': stuck = atoi(optarg); break;
		default: exit(2);
		}
	}
	if (port < 1 || n_conns < 1 || window < 1 || stuck < 0 || stuck > n_conns || !ping_text.len != !pong_text.len || pong_text.len > 125) {
		fprintf(stderr, "client: -p and -n are needed, -s is at most -n, -q and -a go together\n");
		exit(2);
	}
}

int main(int argc, char **argv) {
	options(argc, argv);
	if (file) blocks = load(file, binary ? 2 : 1, &n_blocks);
	conns = calloc(n_conns, sizeof *conns);
	epfd = epoll_create1(0);
	struct epoll_event input = {.events = EPOLLIN}, events[512];
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, 0, &input)) die("standard input");
	setvbuf(stdin, NULL, _IONBF, 0); // a line that is read ahead would not wake epoll
	started = clock_ns(CLOCK_MONOTONIC);
	while (opened < n_conns && opened < window) open_next();
	for (;;) {
		int n = epoll_wait(epfd, events, 512, -1);
		if (n < 0 && errno != EINTR) die("epoll_wait");
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			if (!c) command();
			else if (c->state == CONNECTING) request(c);
			else receive(c);
		}
	}
}
