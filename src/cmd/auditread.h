/* auditread.h - audit records out of JSON: a line of the audit file, an object of the agent's API.
 * Pure.
 *
 * What a record does not say is left as it is not known: a fact without its bit, a text that is
 * empty. Texts that are too long are cut.
 */
#pragma once
#include <jansson.h>

#include "model/audit.h"

/* The policy of an AUDIT_GUARD record, when it has one. */
struct auditread {
    struct audit audit;
    struct policy policy;
    bool have_policy;
};

/* 0; -EBADMSG: no record, or a part of one. */
int auditread_line(struct str line, struct auditread *out);

/* The same of an object, whose kind is in the member `kind_key`: "kind" in the file, "record" in
 * what the agent tells. */
int auditread_object(const json_t *object, const char *kind_key, struct auditread *out);

/* Lines in a buffer, whole or cut off in the middle. */
struct auditread_lines {
    struct str rest;
};

/* The next line without its newline; false: none that is whole is left. Blank ones are skipped. */
bool auditread_next(struct auditread_lines *l, struct str *line_out);
