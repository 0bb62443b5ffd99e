// Players of a game, very many in one thread: each has one command on its way at most.
//
//   players -p PORT -n PLAYERS -r ROOM -g race|crash -i FILE
//
// FILE holds the hello and the join of each player, as for client. Lines of standard input:
//   run RATE   begins to play a race: RATE taps a second, in turn over the players, each due at its
//              own time; RATE 0: who has his answer taps again.
//   run N      begins to play N rounds of crash: everybody bets twice when betting opens, and cashes
//              both bets out in flight. A round whose betting is open already is none of them.
//   begin      starts to count anew, and says {"event":"begun",…}
//   end        says what was counted, as one line of JSON
//   stop       begins no more commands; says {"event":"stopped",…} when none is on its way
// It says {"event":"ready",…} when all have joined, {"event":"round",…} when one of the N rounds is
// over, and ends with standard input, or when a connection fails.
//
// A latency is the time from when the command was due until its answer was read. Each command has
// one answer: one for a command that has had its answer is doubled, one for no command is stray.

#include "many.h"
#include <sys/epoll.h>
#include <sys/timerfd.h>

enum { BUFFER = 1 << 20, WINDOW = 256, CODES = 16 };
enum { SOONEST = 100 * 1000 };         // ns; the timer is not set to less: commands that are due by then go together
enum { FLY = 250 * 1000 * 1000 };      // ns after the start at which cash-outs begin: before the curve reads 1.01x they are too early
enum state { CONNECTING, HANDSHAKE, JOINING, READY };
enum kind { TAP, BET, CASHOUT, KINDS };

struct player {
	int fd;
	enum state state;
	struct text rest;       // a message that is not whole yet
	uint64_t sent;          // commands; the number of the newest is in its key
	int busy;               // the newest has no answer yet
	enum kind kind;         // of the newest
	int64_t due;            // when the newest was due
	uint64_t planned;       // commands that were due since run, of a rate
	uint64_t begun;         // of them
	unsigned bets, open;    // bets of this round; bit i: the bet in slot i can be cashed out
	int slot;               // of the newest bet
};

static const char *const names[KINDS] = {"tap", "bet", "cashout"};
static const char *room, *game, *file;
static int port, n_players;
static struct player *players;
static struct text *blocks;
static int n_blocks;
static int epfd, timer, opened, ready;
static char buffer[BUFFER];

static int running;                    // commands are begun
static int crash;                      // the game
static double period;                  // ns between commands of a rate; 0: no rate
static int64_t run_at;                 // when the rate began
static uint64_t planned;               // commands of the rate that were due so far
static uint64_t outstanding;
static char phase[16];
static uint64_t round_no;
static int rounds;                     // of crash, still to be played
static int played;                     // the round under way is one of them
static int64_t cash_at;                // when cash-outs begin; 0: not known

static struct {
	int64_t began, cpu;
	uint64_t reads, doubled, stray;
	struct {
		uint64_t sent, ok;
		int64_t first, last;           // of the burst of this round: first sent, last answered
		int64_t span;                  // of the bursts before
		struct latencies answered;
	} by[KINDS];
	struct { char code[32]; uint64_t n; } refused[CODES]; // the last one: all others
} count;

static void watch(int fd, void *p, int op, uint32_t events) {
	struct epoll_event e = {.events = events, .data.ptr = p};
	if (epoll_ctl(epfd, op, fd, &e)) die("epoll_ctl");
}

// put sends bytes that a socket always takes: there is one command in it at most.
static void put(struct player *p, const char *bytes, size_t len) {
	if (send(p->fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len) die("send");
}

static void say(struct player *p, const char *text, size_t len) {
	char out[512];
	put(p, out, frame(out, 1, text, len));
}

static void open_next(void) {
	struct player *p = players + opened;
	p->fd = dial(opened++, port, 0);
	watch(p->fd, p, EPOLL_CTL_ADD, EPOLLOUT);
}

static void request(struct player *p) {
	char text[1024];
	int n = handshake(text, p->fd, port, "/ws", NULL);
	p->state = HANDSHAKE;
	watch(p->fd, p, EPOLL_CTL_MOD, EPOLLIN);
	put(p, text, n);
}

static void reset(void) {
	memset(&count, 0, sizeof count);
	count.cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	count.began = clock_ns(CLOCK_MONOTONIC);
}

static void set_timer(int64_t at, int64_t now) {
	int64_t wait = at - now < SOONEST ? SOONEST : at - now;
	struct itimerspec t = {.it_value = {wait / 1000000000, wait % 1000000000}};
	if (timerfd_settime(timer, 0, &t, NULL)) die("timerfd_settime");
}

// command sends a command that was due at a time.
static void command(struct player *p, enum kind kind, const char *args, int64_t due, int64_t now) {
	char text[256];
	p->kind = kind, p->due = due, p->busy = 1;
	outstanding++;
	count.by[kind].sent++;
	if (!count.by[kind].first) count.by[kind].first = now;
	say(p, text, snprintf(text, sizeof text, "{\"type\":\"cmd\",\"room\":\"%s\",\"key\":\"%d-%llu\",\"op\":\"%s\",\"round\":%llu,\"args\":{%s}}",
		room, (int)(p - players), (unsigned long long)++p->sent, names[kind], (unsigned long long)round_no, args));
}

// act begins the player's next command if there is one.
static void act(struct player *p, int64_t now) {
	char args[64];
	if (!running || p->busy || !round_no) return;
	if (!crash && !strcmp(phase, "running")) {
		int64_t due = now;
		if (period) {
			if (p->begun == p->planned) return;
			due = run_at + (int64_t)(((double)p->begun++ * n_players + (p - players)) * period);
		}
		snprintf(args, sizeof args, "\"n\":%llu", (unsigned long long)p->sent + 1);
		command(p, TAP, args, due, now);
	} else if (crash && !strcmp(phase, "betting") && p->bets < 2) {
		p->slot = p->bets++;
		snprintf(args, sizeof args, "\"slot\":%d,\"amount\":100", p->slot);
		command(p, BET, args, now, now);
	} else if (crash && !strcmp(phase, "flying") && cash_at && now >= cash_at && p->open) {
		int slot = p->open & 1 ? 0 : 1;
		p->open &= ~(1u << slot);
		snprintf(args, sizeof args, "\"slot\":%d", slot);
		command(p, CASHOUT, args, now, now);
	}
}

static void act_all(int64_t now) {
	for (struct player *p = players; p < players + n_players; p++) act(p, now);
}

// turn does what is due, and sets the timer to what is due next.
static void turn(void) {
	int64_t now = clock_ns(CLOCK_MONOTONIC);
	if (running && period) {
		while (run_at + planned * period <= now) {
			struct player *p = players + planned++ % n_players;
			p->planned++;
			act(p, now);
		}
		set_timer(run_at + (int64_t)(planned * period), now);
	} else if (running && cash_at) {
		if (now >= cash_at) act_all(now);
		else set_timer(cash_at, now);
	}
}

// over ends the bursts of a round.
static void over(void) {
	for (int k = 0; k < KINDS; k++) {
		if (count.by[k].last > count.by[k].first) count.by[k].span += count.by[k].last - count.by[k].first;
		count.by[k].first = count.by[k].last = 0;
	}
}

// enter takes note of a phase that the room has begun.
static void enter(const char *name, size_t len, uint64_t number) {
	int64_t now = clock_ns(CLOCK_MONOTONIC);
	if (len >= sizeof phase || (number == round_no && !strncmp(phase, name, len) && !phase[len])) return;
	memcpy(phase, name, len), phase[len] = 0;
	round_no = number, cash_at = 0;
	if (!strcmp(phase, "flying")) {
		cash_at = now + FLY;
		turn();
	} else if (!strcmp(phase, "crashed")) {
		for (struct player *p = players; p < players + n_players; p++) p->open = 0;
		if (!played) return;
		played = 0;
		if (--rounds == 0) running = 0;
		printf("{\"event\":\"round\",\"round\":%llu}\n", (unsigned long long)number), fflush(stdout);
	} else if (!strcmp(phase, "betting")) {
		over();
		for (struct player *p = players; p < players + n_players; p++) p->bets = p->open = 0;
		played = running;
		act_all(now);
	} else if (!strcmp(phase, "running")) {
		act_all(now);
	}
}

// follow looks for phases in an update or a snapshot.
static void follow(const char *p, size_t len) {
	static const char key[] = "\"phase\":\"", number[] = "\"round\":";
	for (const char *end = p + len; (p = memmem(p, end - p, key, sizeof key - 1));) {
		p += sizeof key - 1;
		const char *quote = memchr(p, '"', end - p), *r = memmem(p, end - p, number, sizeof number - 1);
		if (!quote || !r) return;
		enter(p, quote - p, strtoull(r + sizeof number - 1, NULL, 10));
	}
}

static void refused(const char *p, size_t len) {
	static const char key[] = "\"code\":\"";
	const char *code = memmem(p, len, key, sizeof key - 1), *quote = code ? memchr(code + sizeof key - 1, '"', p + len - code - sizeof key + 1) : NULL;
	size_t size = quote ? quote - code - sizeof key + 1 : 0;
	for (int i = 0; i < CODES; i++) {
		char *known = count.refused[i].code;
		if (!*known && i < CODES - 1 && size && size < sizeof count.refused[i].code) memcpy(known, quote - size, size);
		if (i == CODES - 1 || (strlen(known) == size && !memcmp(known, quote - size, size))) {
			count.refused[i].n++;
			return;
		}
	}
}

static void check_stopped(void) {
	if (!running && !outstanding) printf("{\"event\":\"stopped\",\"outstanding\":0}\n"), fflush(stdout);
}

// answered takes the answer to a command.
static void answered(struct player *p, const char *text, size_t len, int64_t now) {
	static const char key[] = "\"key\":\"";
	const char *k = memmem(text, len, key, sizeof key - 1);
	char *dash = NULL;
	uint64_t who = k ? strtoull(k + sizeof key - 1, &dash, 10) : 0, number = dash ? strtoull(dash + 1, NULL, 10) : 0;
	if (!dash || who != (uint64_t)(p - players) || number == 0 || number > p->sent) {
		count.stray++;
		return;
	}
	if (number < p->sent || !p->busy) {
		count.doubled++;
		return;
	}
	int ok = memmem(text, len, "\"ok\":true", 9) != NULL;
	p->busy = 0;
	outstanding--;
	took(&count.by[p->kind].answered, now - p->due);
	count.by[p->kind].ok += ok;
	if (count.by[p->kind].first) count.by[p->kind].last = now; // or its burst is over
	if (!ok) refused(text, len);
	else if (p->kind == BET) p->open |= 1u << p->slot;
	if (running) act(p, now);
	else check_stopped();
}

static void message(struct player *p, char *text, size_t len, int64_t now) {
	static const char answer[] = "{\"type\":\"answer\"", ping[] = "{\"type\":\"ping\"", pong[] = "{\"type\":\"pong\",\"id\":0}";
	static const char joined[] = "{\"type\":\"joined\"", update[] = "{\"type\":\"update\"";
	if (len > sizeof answer && !memcmp(text, answer, sizeof answer - 1)) {
		answered(p, text, len, now);
	} else if (len > sizeof update && !memcmp(text, update, sizeof update - 1)) {
		if (p == players) follow(text, len); // all are told the same
	} else if (len > sizeof joined && !memcmp(text, joined, sizeof joined - 1)) {
		if (p == players) follow(text, len);
		if (p->state == READY) return;
		p->state = READY;
		if (++ready == n_players) printf("{\"event\":\"ready\",\"connections\":%d}\n", ready), fflush(stdout);
		else if (opened < n_players) open_next();
	} else if (len > sizeof ping && !memcmp(text, ping, sizeof ping - 1)) {
		say(p, pong, sizeof pong - 1);
	}
}

static void receive(struct player *p) {
	size_t len = p->rest.len, used = 0, n;
	if (len) memcpy(buffer, p->rest.bytes, len);
	ssize_t got = read(p->fd, buffer + len, BUFFER - len);
	if (got < 0 && errno == EAGAIN) return;
	if (got <= 0) fprintf(stderr, "client: the connection of a player ended\n"), exit(1);
	int64_t now = clock_ns(CLOCK_MONOTONIC);
	count.reads++;
	len += got;
	if (p->state == HANDSHAKE && (used = upgraded(buffer, len))) {
		struct text *b = blocks + (p - players) % n_blocks;
		p->state = JOINING;
		put(p, b->bytes, b->len);
	}
	int opcode;
	struct text payload;
	while (p->state >= JOINING && (n = whole(buffer + used, len - used, &opcode, &payload))) {
		used += n;
		if (opcode == 8) fprintf(stderr, "client: a player was told to go: %.*s\n", (int)payload.len - 2, payload.bytes + 2), exit(1);
		if (opcode <= 2) message(p, payload.bytes, payload.len, now);
	}
	keep(&p->rest, buffer + used, len - used);
}

static void report(void) {
	over();
	printf("{\"event\":\"report\",\"took_ns\":%lld,\"cpu_ns\":%lld,\"reads\":%llu,\"doubled\":%llu,\"stray\":%llu,\"outstanding\":%llu",
		(long long)(clock_ns(CLOCK_MONOTONIC) - count.began), (long long)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - count.cpu), (unsigned long long)count.reads,
		(unsigned long long)count.doubled, (unsigned long long)count.stray, (unsigned long long)outstanding);
	for (int k = 0; k < KINDS; k++) {
		const struct latencies *l = &count.by[k].answered;
		printf(",\"%s\":{\"sent\":%llu,\"answered\":%llu,\"ok\":%llu,\"span_ns\":%lld,\"p50_ns\":%lld,\"p99_ns\":%lld,\"p999_ns\":%lld,\"max_ns\":%lld}",
			names[k], (unsigned long long)count.by[k].sent, (unsigned long long)l->n, (unsigned long long)count.by[k].ok, (long long)count.by[k].span,
			(long long)quantile(l, .5), (long long)quantile(l, .99), (long long)quantile(l, .999), (long long)l->worst);
	}
	printf(",\"refused\":{");
	for (int i = 0, n = 0; i < CODES; i++)
		if (count.refused[i].n) printf("%s\"%s\":%llu", n++ ? "," : "", i < CODES - 1 ? count.refused[i].code : "other", (unsigned long long)count.refused[i].n);
	printf("}}\n");
	fflush(stdout);
}

static void obey(void) {
	char line[100];
	double rate;
	if (!fgets(line, sizeof line, stdin)) exit(0);
	if (crash && sscanf(line, "run %d", &rounds) == 1 && rounds > 0) {
		running = 1, played = 0;
		for (struct player *p = players; p < players + n_players; p++) p->bets = 2; // of the round under way
	} else if (!crash && sscanf(line, "run %lf", &rate) == 1 && rate >= 0) {
		running = 1, period = rate ? 1e9 / rate : 0, run_at = clock_ns(CLOCK_MONOTONIC), planned = 0;
		for (struct player *p = players; p < players + n_players; p++) p->planned = p->begun = 0;
		if (period) turn();
		else act_all(run_at);
	} else if (!strcmp(line, "begin\n")) reset(), begun();
	else if (!strcmp(line, "end\n")) report();
	else if (!strcmp(line, "stop\n")) running = 0, check_stopped();
	else fprintf(stderr, "client: command not understood: %s", line), exit(1);
}

int main(int argc, char **argv) {
	for (int o; (o = getopt(argc, argv, "p:n:r:g:i:")) != -1;) {
		switch (o) {
		case 'p': port = atoi(optarg); break;
		case 'n': n_players = atoi(optarg); break;
		case 'r': room = optarg; break;
		case 'g': game = optarg; break;
		case 'i': file = optarg; break;
		default: exit(2);
		}
	}
	if (port < 1 || n_players < 1 || !room || strlen(room) > 64 || !file || !game || !((crash = !strcmp(game, "crash")) || !strcmp(game, "race"))) {
		fprintf(stderr, "client: -p, -n, -r, -i and -g race or crash are needed\n");
		exit(2);
	}
	blocks = load(file, 1, &n_blocks);
	players = calloc(n_players, sizeof *players);
	epfd = epoll_create1(0);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	watch(0, NULL, EPOLL_CTL_ADD, EPOLLIN);
	watch(timer, &timer, EPOLL_CTL_ADD, EPOLLIN);
	setvbuf(stdin, NULL, _IONBF, 0); // a line that is read ahead would not wake epoll
	while (opened < n_players && opened < WINDOW) open_next();
	for (struct epoll_event events[512];;) {
		int n = epoll_wait(epfd, events, 512, -1);
		if (n < 0 && errno != EINTR) die("epoll_wait");
		for (int i = 0; i < n; i++) {
			struct player *p = events[i].data.ptr;
			uint64_t times;
			if (!p) obey();
			else if ((void *)p == &timer) { if (read(timer, &times, sizeof times) > 0) turn(); }
			else if (p->state == CONNECTING) request(p);
			else receive(p);
		}
	}
}
