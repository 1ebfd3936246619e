/* topsource_agent.h - `plimsoll top` with an agent: what is now from its stream, what was from its
 * history.
 *
 * Nothing here waits long: the stream is read as it comes, and what is asked for has a deadline of
 * a second or two. An agent that is silent is not asked at all until it is heard again.
 */
#pragma once
#include "tui/source.h"

struct topsource_agent;

/* socket: borrowed. Waits for the first answer: -errno with a text when there is none. */
int topsource_agent_new(const char *socket, struct topsource_agent **out, struct err *err);
void topsource_agent_free(struct topsource_agent *s);

/* Valid as long as s is. */
struct tui_source topsource_agent_source(struct topsource_agent *s);
