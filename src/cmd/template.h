/* template.h - the small part of Go's templates that people use with docker: `{{.Name}}`,
 * `{{json .Name}}`, `{{.ID | upper}}`, `{{- .Name -}}`, text around them, `table ` in front for a
 * table with heads.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

enum { TEMPLATE_PARTS = 64 };

enum template_function { TEMPLATE_PLAIN, TEMPLATE_JSON, TEMPLATE_UPPER, TEMPLATE_LOWER };

struct template_part {
    struct str text; /* what stands there as it is, \t and \n already resolved; or */
    int field;       /* >= 0: the number of a field */
    enum template_function function;
};

struct template {
    bool table; /* began with "table " */
    bool whole; /* `{{json .}}` or `json`: the whole row as a JSON object */
    size_t parts;
    struct template_part part[TEMPLATE_PARTS];
    char *text; /* owned: what the parts point into */
};

/* `names` are the fields without the dot; their places are their numbers. 0; -EINVAL with a text
 * that names the unknown field and lists the known ones; -ENOMEM. */
int template_parse(struct str source, const char *const *names, size_t n, struct template *out,
                   struct err *err);
void template_done(struct template *t);

/* Appends a field's text; `raw` is what it is, made fit for a terminal here, not before. */
void template_add_field(struct buf *out, enum template_function function, struct str raw,
                        bool plain_ascii);
