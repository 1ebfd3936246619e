/* topsource_agent.h - `plimsoll top` with an agent: what is now from its stream, what was from its
 * history.
 *
 * Nothing here waits long: the stream is read as it comes, and all that is asked for at once has a
 * deadline of half a second, or somewhat more where the agent is slow but alive. One that does not
 * answer is left alone for a while.
 */
#pragma once
#include "tui/source.h"

struct topsource_agent;

/* socket: borrowed. Waits for the first answer: -errno with a text when there is none. */
int topsource_agent_new(const char *socket, struct topsource_agent **out, struct err *err);
void topsource_agent_free(struct topsource_agent *s);

/* Valid as long as s is. */
struct tui_source topsource_agent_source(struct topsource_agent *s);
