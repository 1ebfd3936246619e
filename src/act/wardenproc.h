/* wardenproc.h - the warden's own process: its loop. Only warden.c starts it. */
#pragma once
#include "act/wardenmsg.h"

struct wardenproc_ends {
    int socket, pidfd;        /* pidfd: of the owner, or -1 */
    int rung, answered;       /* eventfds of the mailbox */
    struct warden_mail *mail; /* shared */
    int known;                /* a descriptor number of the owner, to try whether it can be had */
};

/* Serves until its owner has ended and nothing is held. In a fresh fork; never returns. Nothing
 * else that was open stays open. When it stands it says 0 and its pid; mail->answer.seq is 1 then
 * if the mailbox can be used. */
_Noreturn void wardenproc_run(const struct wardenproc_ends *ends);
