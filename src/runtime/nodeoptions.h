/* nodeoptions.h - what a Node program was told about its inspector, by its command line and by
 * NODE_OPTIONS. Pure. It is a hint for what to look at first; what is true is asked for otherwise.
 */
#pragma once
#include "base/str.h"

enum { NODE_PORT = 9229 };

struct node_options {
    uint16_t port;    /* where its inspector listens, or would; 0: any free one */
    bool inspects;    /* --inspect and its relatives: it listens from the start */
    bool sigusr1_off; /* --disable-sigusr1 */
};

/* command, settings (the environment): words with a NUL behind each, as /proc has them. */
void node_options_read(struct str command, struct str settings, struct node_options *out);

/* Whether the value of this option is the word behind it, and not the script: "--title". */
bool node_option_takes_word(struct str option);
