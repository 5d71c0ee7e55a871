/*
 * lines COMMAND [ARGUMENT]...
 *
 * Runs a command and turns its standard error, nginx's error log and what else
 * is said there, into lines of JSON.  Signals are passed on; it ends as the
 * command does, after the last line.  It is the first process of a container,
 * so it waits for those that others have left.
 */


#include <ngx_lyftr_text.h>

#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>


#define LINES_BUF      16384
#define LINES_MAX      4096                /* a pipe takes it whole */
#define LINES_HEAD     "{\"ts\":\"%s.%03dZ\",\"level\":\"%s\",\"message\":"
#define LINES_REQUEST  ", request: \""


typedef struct {
    const char  *name;
    const char  *level;
} lines_level_t;


static void lines_start(char **argv, int *fd);
static void lines_handle(int signo, void (*handler)(int));
static void lines_forward(int signo);
static void lines_child(int signo);
static void lines_wait(int options);
static u_char *lines_split(u_char *p, u_char *last);
static void lines_line(u_char *s, size_t len);
static void lines_write(u_char *p, size_t len);
static const char *lines_level(ngx_str_t *line);
static ngx_uint_t lines_skip(ngx_str_t *line, const char *form);
static void lines_cut_query(ngx_str_t *line);


/* LOG_LEVEL=INFO stops at nginx's warn, so what is below it is DEBUG */

static lines_level_t  lines_levels[] = {
    { "[debug] ", "DEBUG" },
    { "[info] ", "DEBUG" },
    { "[notice] ", "DEBUG" },
    { "[warn] ", "WARNING" },
    { "[error] ", "ERROR" },
    { "[crit] ", "CRITICAL" },
    { "[alert] ", "CRITICAL" },
    { "[emerg] ", "CRITICAL" },
    { NULL, NULL }
};

/* the launcher says why it does not start */

static lines_level_t  lines_serve_levels[] = {
    { "serve: info: ", "INFO" },
    { "serve: warning: ", "WARNING" },
    { "serve: ", "CRITICAL" },
    { NULL, NULL }
};

static int  lines_signals[] = {
    SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, 0
};

static pid_t                  lines_pid;
static int                    lines_status;
static volatile sig_atomic_t  lines_ended;


int
main(int argc, char **argv)
{
    int              fd, n;
    u_char          *p, *start;
    ssize_t          size;
    sigset_t         set;
    struct pollfd    pfd;
    struct timespec  now = { 0, 0 };

    static u_char    buf[LINES_BUF];

    if (argc < 2) {
        fprintf(stderr, "usage: lines command [argument]...\n");
        return 2;
    }

    lines_start(argv + 1, &fd);

    sigemptyset(&set);

    pfd.fd = fd;
    pfd.events = POLLIN;

    start = buf;

    for ( ;; ) {

        /* the end of a child is only heard here */

        n = ppoll(&pfd, 1, lines_ended ? &now : NULL, &set);

        if (n == -1 && errno == EINTR) {
            lines_wait(WNOHANG);
            continue;
        }

        /* what others, who stay, may still say is nobody's loss */

        if (n <= 0) {
            break;
        }

        size = read(fd, start, buf + LINES_BUF - start);

        if (size == -1 && errno == EINTR) {
            continue;
        }

        if (size <= 0) {
            break;
        }

        p = lines_split(buf, start + size);
        size = start + size - p;
        ngx_memmove(buf, p, size);
        start = buf + size;
    }

    lines_line(buf, start - buf);

    if (!lines_ended) {
        lines_wait(0);
    }

    return WIFSIGNALED(lines_status) ? 128 + WTERMSIG(lines_status)
                                     : WEXITSTATUS(lines_status);
}


static void
lines_start(char **argv, int *fd)
{
    int       i, fds[2];
    sigset_t  set, old;

    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, &old);

    if (pipe(fds) == -1 || (lines_pid = fork()) == -1) {
        perror("lines");
        exit(1);
    }

    if (lines_pid == 0) {
        sigprocmask(SIG_SETMASK, &old, NULL);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);

        execvp(argv[0], argv);
        perror(argv[0]);
        _exit(127);
    }

    close(fds[1]);
    *fd = fds[0];

    for (i = 0; lines_signals[i]; i++) {
        lines_handle(lines_signals[i], lines_forward);
    }

    lines_handle(SIGCHLD, lines_child);
    lines_handle(SIGPIPE, SIG_IGN);

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_SETMASK, &set, NULL);
}


static void
lines_handle(int signo, void (*handler)(int))
{
    struct sigaction  sa;

    ngx_memzero(&sa, sizeof(struct sigaction));
    sa.sa_handler = handler;
    sigemptyset(&sa.sa_mask);
    sigaction(signo, &sa, NULL);
}


static void
lines_forward(int signo)
{
    int  err;

    err = errno;

    if (!lines_ended) {
        kill(lines_pid, signo);
    }

    errno = err;
}


/* it only has to interrupt */

static void
lines_child(int signo)
{
}


static void
lines_wait(int options)
{
    int    status;
    pid_t  pid;

    for ( ;; ) {
        pid = waitpid(-1, &status, options);

        if (pid == -1 && errno == EINTR) {
            continue;
        }

        if (pid <= 0) {
            return;
        }

        if (pid == lines_pid) {
            lines_status = status;
            lines_ended = 1;
            options = WNOHANG;
        }
    }
}


/* writes the lines that are there, and returns the one that is not whole */

static u_char *
lines_split(u_char *p, u_char *last)
{
    u_char  *end;

    static ngx_uint_t  skip;

    while ((end = memchr(p, '\n', last - p)) != NULL) {

        if (!skip) {
            lines_line(p, end - p);
        }

        skip = 0;
        p = end + 1;
    }

    /* the rest of a line that is too long is no line */

    if (last - p == LINES_BUF && !skip) {
        lines_line(p, LINES_BUF);
        skip = 1;
    }

    return skip ? last : p;
}


static void
lines_line(u_char *s, size_t len)
{
    char             ts[sizeof("1970-01-01T00:00:00")];
    u_char           buf[LINES_MAX + LINES_MAX * NGX_LYFTR_JSON_GROWTH], *p;
    size_t           n, room;
    ngx_str_t        line;
    const char      *level;
    struct tm        tm;
    struct timespec  now;

    line.data = s;
    line.len = len;

    level = lines_level(&line);

    if (line.len == 0) {
        return;
    }

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(ts, sizeof(ts), "%Y-%m-%dT%H:%M:%S", &tm);

    p = buf + snprintf((char *) buf, LINES_MAX, LINES_HEAD, ts,
                       (int) (now.tv_nsec / 1000000), level);

    room = LINES_MAX - (p - buf) - (sizeof("}\n") - 1);

    line.len = ngx_lyftr_utf8_cut(line.data, line.len, room);

    while ((n = ngx_lyftr_json_string_len(line.data, line.len)) > room) {
        n = (n - room + NGX_LYFTR_JSON_GROWTH - 1) / NGX_LYFTR_JSON_GROWTH;
        line.len = ngx_lyftr_utf8_cut(line.data, line.len, line.len - n);
    }

    p = ngx_lyftr_json_string(p, line.data, line.len);
    *p++ = '}';
    *p++ = '\n';

    lines_write(buf, p - buf);
}


/* waits for a slow reader, as nginx would */

static void
lines_write(u_char *p, size_t len)
{
    ssize_t        n;
    struct pollfd  pfd;

    pfd.fd = STDERR_FILENO;
    pfd.events = POLLOUT;

    while (len) {
        n = write(STDERR_FILENO, p, len);

        if (n >= 0) {
            p += n;
            len -= n;

        } else if (errno == EAGAIN) {
            (void) poll(&pfd, 1, -1);

        } else if (errno != EINTR) {
            return;
        }
    }
}


/* takes what the object has of its own off a line of nginx */

static const char *
lines_level(ngx_str_t *line)
{
    ngx_str_t       serve;
    lines_level_t  *level;

    /* the latter as long as nginx has no log */

    if (!lines_skip(line, "0/0/0 0:0:0 ")) {
        (void) lines_skip(line, "nginx: ");
    }

    for (level = lines_levels; level->name; level++) {

        if (lines_skip(line, level->name)) {
            (void) lines_skip(line, "0#0: ");
            lines_cut_query(line);

            return level->level;
        }
    }

    serve = *line;

    for (level = lines_serve_levels; level->name; level++) {

        if (lines_skip(&serve, level->name)) {
            return level->level;
        }
    }

    /* nobody else should speak */

    return "WARNING";
}


/* steps over what has this form; a 0 stands for a number */

static ngx_uint_t
lines_skip(ngx_str_t *line, const char *form)
{
    u_char  *p, *last, *start;

    p = line->data;
    last = p + line->len;

    for ( /* void */ ; *form; form++) {
        start = p;

        while (*form == '0' && p < last && *p >= '0' && *p <= '9') {
            p++;
        }

        if (*form != '0' && p < last && *p == (u_char) *form) {
            p++;
        }

        if (p == start) {
            return 0;
        }
    }

    line->data = p;
    line->len = last - p;

    return 1;
}


/*
 * nginx ends a line with the request, and then what has to do with it.  A
 * query is private, and a quote in it does not tell where it ends.
 */

static void
lines_cut_query(ngx_str_t *line)
{
    u_char  *p, *last;

    last = line->data + line->len;

    p = memmem(line->data, line->len, LINES_REQUEST,
               sizeof(LINES_REQUEST) - 1);
    if (p == NULL) {
        return;
    }

    p = memchr(p, '?', last - p);
    if (p == NULL) {
        return;
    }

    *p++ = '"';
    line->len = p - line->data;
}
