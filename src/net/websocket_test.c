#include "net/websocket.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/basetest.h"
#include "base/clock.h"
#include "base/mem.h"

static int64_t soon(int64_t ms) {
    return clock_mono_us() + ms * 1000;
}

/* FIPS 180-4's examples and RFC 6455 section 1.3. */
static void known_digests(void **state) {
    static const struct {
        const char *text, *hex;
    } known[] = {
        {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
    };
    char hex[41], accept[WEBSOCKET_ACCEPT], million[1000];
    unsigned char digest[20];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(known); i++) {
        websocket_sha1(str_of(known[i].text), digest);
        for (unsigned j = 0; j < 20; j++)
            (void)snprintf(hex + j * 2, 3, "%02x", digest[j]);
        assert_string_equal(hex, known[i].hex);
    }
    /* the boundary of the padding: 55, 56, 63, 64 bytes; from sha1sum */
    memset(million, 'a', sizeof(million));
    websocket_sha1((struct str){million, 55}, digest);
    assert_int_equal(digest[0], 0xc1);
    websocket_sha1((struct str){million, 56}, digest);
    assert_int_equal(digest[0], 0xc2);
    websocket_sha1((struct str){million, 64}, digest);
    assert_int_equal(digest[0], 0x00);
    assert_int_equal(digest[1], 0x98);
    websocket_accept(STR("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

/* RFC 6455 section 5.7. */
static void known_frames(void **state) {
    struct websocket_frame f;
    struct buf out;

    (void)state;
    assert_int_equal(websocket_parse(STR("\x81\x05Hello"), &f), 1);
    assert_true(f.last && f.op == WEBSOCKET_TEXT && f.size == 7);
    assert_true(str_eq(f.payload, STR("Hello")));
    assert_int_equal(websocket_parse(STR("\x01\x03Hel"), &f), 1);
    assert_false(f.last);
    assert_int_equal(websocket_parse(STR("\x89\x05Hello"), &f), 1);
    assert_int_equal(f.op, WEBSOCKET_PING);
    buf_init(&out, 100);
    websocket_add(&out, WEBSOCKET_TEXT, STR("Hello"), (const unsigned char *)"\x37\xfa\x21\x3d");
    assert_true(str_eq(buf_str(&out), STR("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")));
    buf_done(&out);
}

static void what_a_server_must_not_send(void **state) {
    static const struct {
        const char *text;
        size_t n;
        int wanted;
    } bad[] = {
        {"\x81\x85"
         "1234Hello",
         11, -EBADMSG},                                 /* masked */
        {"\xc1\x00", 2, -EBADMSG},                      /* reserved bit */
        {"\x83\x00", 2, -EBADMSG},                      /* reserved opcode */
        {"\x8b\x00", 2, -EBADMSG},                      /* reserved control */
        {"\x09\x00", 2, -EBADMSG},                      /* a ping in parts */
        {"\x89\x7e\x00\x80", 4, -EBADMSG},              /* a long ping */
        {"\x81\x7e\x00\x05", 4, -EBADMSG},              /* a length in too many bytes */
        {"\x81\x7f\0\0\0\0\0\0\xff\xff", 10, -EBADMSG}, /* the same */
        {"\x81\x7f\0\0\0\0\x04\0\0\x01", 10, -EFBIG},   /* 64 MiB and one */
        {"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10, -EFBIG},
        {"\x81\x7f\0\0\0\0\x04\0\0", 9, 0},
        {"\x81\x05Hell", 6, 0},
        {"\x81", 1, 0},
        {"", 0, 0},
    };
    struct websocket_frame f;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        int r = websocket_parse((struct str){bad[i].text, bad[i].n}, &f);

        if (r != bad[i].wanted)
            fail_msg("%zu: %d, not %d", i, r, bad[i].wanted);
    }
}

static void every_length_comes_back(void **state) {
    static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 65537, 200000};
    static const unsigned char mask[4] = {1, 0x80, 0xff, 7};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(sizes); i++) {
        char *text = calloc(1, sizes[i] + 1);
        struct websocket_frame f;
        struct buf out;
        size_t head;

        assert_non_null(text);
        memset(text, 'x', sizes[i]);
        buf_init(&out, 1 << 20);
        websocket_add(&out, WEBSOCKET_TEXT, (struct str){text, sizes[i]}, mask);
        assert_int_equal(buf_error(&out), 0);
        /* unmasked again, it is what a server may send */
        head = out.n - sizes[i] - 4;
        for (size_t j = 0; j < sizes[i]; j++)
            out.p[head + j] = (char)(out.p[head + 4 + j] ^ mask[j % 4]);
        out.p[1] &= 0x7f;
        assert_int_equal(websocket_parse((struct str){out.p, out.n - 4}, &f), 1);
        assert_int_equal(f.size, out.n - 4);
        assert_true(str_eq(f.payload, (struct str){text, sizes[i]}));
        assert_int_equal(websocket_parse((struct str){out.p, out.n - 5}, &f), 0);
        buf_done(&out);
        free(text);
    }
}

static void heads(void **state) {
    static const char accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    static const struct {
        const char *text;
        int wanted; /* 1: its length */
    } row[] = {
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
         "sec-WebSocket-ACCEPT:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \r\n\r\n",
         1},
        {"HTTP/1.1 101\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", 1},
        {"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo\r\n\r\n", -EBADMSG},
        {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n", -EBADMSG},
        {"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
         "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
         -EBADMSG},
        {"HTTP/1.1 302 Found\r\nLocation: http://example.org/\r\n\r\n", -EPROTO},
        {"HTTP/1.1 1010 x\r\n\r\n", -EPROTO},
        {"HTTP/1.0 400 Bad Request\r\n\r\n", -EBADMSG},
        {"SSH-2.0\r\n\r\n", -EBADMSG},
        {"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: s3pPL", 0},
        {"", 0},
    };
    static char endless[20000];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(row); i++) {
        int r = websocket_parse_head(str_of(row[i].text), accept);

        if (r != (row[i].wanted == 1 ? (int)strlen(row[i].text) : row[i].wanted))
            fail_msg("%zu: %d", i, r);
    }
    memset(endless, 'a', sizeof(endless));
    assert_int_equal(websocket_parse_head((struct str){endless, sizeof(endless)}, accept),
                     -EBADMSG);
}

/* ---- a server that shakes hands and then says one thing ---- */

struct server {
    pid_t pid;
    int fd;
};

static void serve(int fd, struct str says, size_t piece, bool for_ever) {
    char request[2048], accept[WEBSOCKET_ACCEPT], answer[512];
    ssize_t n = read(fd, request, sizeof(request) - 1);
    char *key;
    int length;

    if (n <= 0)
        _exit(1);
    request[n] = 0;
    key = strstr(request, "Sec-WebSocket-Key: ");
    if (!key)
        _exit(1);
    websocket_accept((struct str){key + 19, 24}, accept);
    length =
        snprintf(answer, sizeof(answer),
                 "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
    if (write(fd, answer, (size_t)length) != length)
        _exit(1);
    do
        for (size_t at = 0; at < says.n; at += piece) {
            size_t left = says.n - at;

            if (write(fd, says.p + at, left < piece ? left : piece) < 0)
                _exit(0);
        }
    while (for_ever);
    while (read(fd, request, sizeof(request)) > 0)
        ;
    _exit(0);
}

static struct server start(struct str says, size_t piece, bool for_ever) {
    struct server s;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    s.pid = fork();
    assert_true(s.pid >= 0);
    if (s.pid == 0) {
        close(pair[0]);
        alarm(100);
        serve(pair[1], says, piece, for_ever);
    }
    close(pair[1]);
    s.fd = pair[0];
    assert_int_equal(fcntl(s.fd, F_SETFL, O_NONBLOCK), 0);
    return s;
}

static void stop(struct server *s, struct websocket *w) {
    websocket_done(w);
    close(s->fd);
    assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
}

static void messages_in_any_pieces(void **state) {
    static const struct str says = STR("\x81\x02"
                                       "ab"
                                       "\x89\x01"
                                       "p"
                                       "\x01\x02"
                                       "cd"
                                       "\x8a\x00"
                                       "\x00\x00"
                                       "\x80\x01"
                                       "e"
                                       "\x88\x02\x03\xe8");

    (void)state;
    for (size_t piece = 1; piece <= says.n; piece++) {
        struct server s = start(says, piece, false);
        struct websocket w;
        struct str got;

        assert_int_equal(websocket_open(&w, s.fd, "127.0.0.1:1", "/x", soon(20000)), 0);
        assert_int_equal(websocket_receive(&w, soon(20000), &got), 0);
        assert_true(str_eq(got, STR("ab")));
        assert_int_equal(websocket_receive(&w, soon(20000), &got), 0);
        assert_true(str_eq(got, STR("cde")));
        assert_int_equal(websocket_receive(&w, soon(20000), &got), -EPIPE);
        stop(&s, &w);
    }
}

static void a_server_that_misbehaves_ends_in_time(void **state) {
    static const struct {
        struct str says;
        bool for_ever;
        int wanted;
    } row[] = {
        {STR("\x89\x00"), true, -ETIMEDOUT}, /* pings for ever */
        {STR("\x8a\x00"), true, -ETIMEDOUT}, /* pongs */
        {STR("\x01\x00"), true, -EBADMSG},   /* begins again and again */
        {STR("\x80\x00"), false, -EBADMSG},  /* goes on with nothing */
        {STR("\x81\x05"
             "Hell"),
         false, -ETIMEDOUT}, /* half a frame */
        {STR(""), false, -ETIMEDOUT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(row); i++) {
        struct server s = start(row[i].says, 2, row[i].for_ever);
        struct websocket w;
        struct str got;
        int r;

        assert_int_equal(websocket_open(&w, s.fd, "127.0.0.1:1", "/x", soon(20000)), 0);
        r = websocket_receive(&w, soon(row[i].wanted == -ETIMEDOUT ? 200 : 20000), &got);
        if (r != row[i].wanted)
            fail_msg("%zu: %d", i, r);
        stop(&s, &w);
    }
}

static void a_path_that_is_none_is_not_sent(void **state) {
    struct websocket w;

    (void)state;
    assert_int_equal(websocket_open(&w, -1, "h", "/a b", soon(100)), -EINVAL);
    websocket_done(&w);
    assert_int_equal(websocket_open(&w, -1, "h", "/a\r\nX: y", soon(100)), -EINVAL);
    websocket_done(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_digests),
        cmocka_unit_test(known_frames),
        cmocka_unit_test(what_a_server_must_not_send),
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(heads),
        cmocka_unit_test(messages_in_any_pieces),
        cmocka_unit_test(a_server_that_misbehaves_ends_in_time),
        cmocka_unit_test(a_path_that_is_none_is_not_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
