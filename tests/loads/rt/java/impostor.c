/* impostor MODE LIBJVM - maps a libjvm as code, handles SIGQUIT and listens where a JVM would, in
 * /tmp/.java_pidN: everything that one can see of a JVM, and answers as MODE says. Ends when its
 * standard input does.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST_MIB = 200 }; /* in a group of far less */

static void ignore(int signal) {
    (void)signal;
}

static int send_all(int fd, const char *text, size_t n) {
    while (n > 0) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);

        if (sent < 0)
            return -1;
        text += sent;
        n -= (size_t)sent;
    }
    return 0;
}

/* Of a small heap; asked to collect it takes memory until it is killed for it. */
static void eat(int fd, const char *request, size_t n) {
    static const char small[] =
        "0\n-XX:+UseSerialGC\n Tenured total 2048K, used 1024K [0x1, 0x2, 0x3)\n";

    for (int i = 0; memmem(request, n, "GC.run", 6) && i < MOST_MIB; i++) {
        char *piece = malloc(1 << 20);

        if (piece)
            memset(piece, i + 1, 1 << 20); /* stays */
    }
    send_all(fd, small, sizeof(small) - 1);
}

static void answer(int fd, const char *mode) {
    static const char lies[] =
        "0\n   1:  5  18446744073709551615  \x1b[31m\xff\xe2\x80\xae\n  2: 1 1 [[[[\n"
        "   3: 7 700 victim.Name\n garbage-first heap total 99999999999999999999K, used 5K [0x5, "
        "0x1)\n-XX:+UseG1GC -XX:MaxHeapSize=-1 -XX:MinHeapFreeRatio=-5\n";
    static const char row[] = "0\n   1: 1 1 [B\n";
    static char rows[65536], noise[4096], request[4096];

    ssize_t asked = recv(fd, request, sizeof(request), 0);

    if (asked <= 0)
        return;
    for (size_t n = 0; n < sizeof(rows); n++)
        rows[n] = row[n % (sizeof(row) - 1)];

    if (strcmp(mode, "silent") == 0) {
        pause();
    } else if (strcmp(mode, "endless") == 0) {
        while (send_all(fd, rows, sizeof(rows)) == 0)
            ;
    } else if (strcmp(mode, "noise") == 0) {
        memset(noise, 0xa5, sizeof(noise));
        send_all(fd, noise, sizeof(noise));
    } else if (strcmp(mode, "lies") == 0) {
        send_all(fd, lies, sizeof(lies) - 1);
    } else if (strcmp(mode, "eater") == 0) {
        eat(fd, request, (size_t)asked);
    }
}

static int listen_at(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    unlink(path);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, 16) < 0)
        return -1;
    return fd;
}

int main(int argc, char **argv) {
    const struct sigaction handled = {.sa_handler = ignore, .sa_flags = SA_RESTART};
    struct pollfd wait[2] = {{.fd = 0, .events = POLLIN}, {.events = POLLIN}};
    char path[64];
    int lib;

    if (argc != 3)
        return 2;
    lib = open(argv[2], O_RDONLY | O_CLOEXEC);
    if (lib < 0 || mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, lib, 0) == MAP_FAILED)
        return 1;
    sigaction(SIGQUIT, &handled, NULL);
    snprintf(path, sizeof(path), "/tmp/.java_pid%d", (int)getpid());
    wait[1].fd = listen_at(path);
    if (wait[1].fd < 0)
        return 1;
    puts("ready");
    fflush(stdout);
    while (poll(wait, 2, -1) > 0 || errno == EINTR) {
        char byte;
        int fd;

        if (wait[0].revents && read(0, &byte, 1) <= 0)
            break;
        if (!wait[1].revents)
            continue;
        fd = accept4(wait[1].fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            answer(fd, argv[1]);
            close(fd);
        }
    }
    unlink(path);
    return 0;
}
