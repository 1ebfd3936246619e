#include "front/yamldoc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

/* "NAME:LINE:COL: " counted from 1, as editors do. */
static void add_place(struct yamldoc *d, size_t line, size_t column) {
    buf_add(d->told, d->name);
    buf_add_format(d->told, ":%zu:%zu: ", line + 1, column + 1);
}

static void add_line(struct yamldoc *d, const yaml_node_t *at, const char *kind, const char *text) {
    if (++d->lines > YAMLDOC_LINES)
        return;
    add_place(d, at->start_mark.line, at->start_mark.column);
    buf_add(d->told, str_of(kind));
    text_add_visible(d->told, str_of(text), false);
    buf_add_char(d->told, '\n');
}

void yamldoc_error(struct yamldoc *d, const yaml_node_t *at, const char *format, ...) {
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    d->errors++;
    add_line(d, at, "", text);
}

void yamldoc_warn(struct yamldoc *d, const yaml_node_t *at, const char *format, ...) {
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    add_line(d, at, "warning: ", text);
}

static struct str line_of(struct str text, size_t number) {
    struct str line = {"", 0};

    for (size_t i = 0; i <= number; i++)
        if (!str_cut(&text, '\n', &line)) {
            line = i == number ? text : STR("");
            break;
        }
    return line;
}

/* Of a byte that is no UTF-8 libyaml tells the offset alone. */
static void place_of(struct str text, size_t offset, size_t *line, size_t *column) {
    *line = *column = 0;
    for (size_t i = 0; i < offset && i < text.n; i++) {
        bool end = text.p[i] == '\n';

        *line += end;
        *column = end ? 0 : *column + 1;
    }
}

static bool tab_indents(struct str line) {
    for (size_t i = 0; i < line.n && (line.p[i] == ' ' || line.p[i] == '\t'); i++)
        if (line.p[i] == '\t')
            return true;
    return false;
}

static int syntax_error(struct yamldoc *d, struct str text, const yaml_parser_t *parser) {
    const char *problem = parser->problem ? parser->problem : "not YAML";
    size_t line = parser->problem_mark.line, column = parser->problem_mark.column;

    if (parser->error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    if (parser->error == YAML_READER_ERROR)
        place_of(text, parser->problem_offset, &line, &column);
    if (tab_indents(line_of(text, line)))
        problem = "a tab in the indentation: YAML takes blanks only";
    d->errors++;
    add_place(d, line, column);
    buf_add(d->told, str_of(problem));
    if (parser->context && parser->error != YAML_READER_ERROR)
        buf_add_format(d->told, " (%s)", parser->context);
    buf_add_char(d->told, '\n');
    return -EINVAL;
}

/* The loader keeps every level in memory and looks at all of them for each token: the depth is
 * bounded before it sees the text. */
static int check_depth(struct yamldoc *d, struct str text) {
    yaml_parser_t parser;
    yaml_event_t event;
    unsigned depth = 0;
    bool end = false;
    int r = 0;

    if (!yaml_parser_initialize(&parser))
        return -ENOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.p, text.n);
    while (r == 0 && !end) {
        if (!yaml_parser_parse(&parser, &event)) {
            r = syntax_error(d, text, &parser);
            break;
        }
        depth += event.type == YAML_MAPPING_START_EVENT || event.type == YAML_SEQUENCE_START_EVENT;
        depth -= event.type == YAML_MAPPING_END_EVENT || event.type == YAML_SEQUENCE_END_EVENT;
        end = event.type == YAML_STREAM_END_EVENT;
        if (depth > YAMLDOC_DEPTH) {
            d->errors++;
            add_place(d, event.start_mark.line, event.start_mark.column);
            buf_add_format(d->told, "more than %d levels deep\n", YAMLDOC_DEPTH);
            r = -EINVAL;
        }
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return r;
}

static int check_single(struct yamldoc *d, struct str text, yaml_parser_t *parser) {
    yaml_document_t second;
    yaml_node_t *root;
    int r = 0;

    if (!d->tree.nodes.start || d->tree.nodes.top == d->tree.nodes.start)
        return 0; /* the stream had no document: nothing can follow */
    if (!yaml_parser_load(parser, &second))
        return syntax_error(d, text, parser);
    root = yaml_document_get_root_node(&second);
    if (root) {
        yamldoc_error(d, root, "a second document begins here; there may be one only");
        r = -EINVAL;
    }
    yaml_document_delete(&second);
    return r;
}

int yamldoc_load(struct yamldoc *d, struct str name, struct str text, struct buf *told) {
    yaml_parser_t parser;
    int r;

    *d = (struct yamldoc){.name = name, .told = told};
    if (text.n > YAMLDOC_MAX) {
        d->errors++;
        buf_add(told, name);
        buf_add_format(told, ":1:1: larger than %d KiB\n", YAMLDOC_MAX >> 10);
        return -EINVAL;
    }
    r = check_depth(d, text);
    if (r < 0)
        return r;
    if (!yaml_parser_initialize(&parser))
        return -ENOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.p, text.n);
    d->have_tree = yaml_parser_load(&parser, &d->tree);
    r = d->have_tree ? check_single(d, text, &parser) : syntax_error(d, text, &parser);
    yaml_parser_delete(&parser);
    return r;
}

void yamldoc_done(struct yamldoc *d) {
    if (d->lines > YAMLDOC_LINES) {
        add_place(d, 0, 0);
        buf_add_format(d->told, "and %u more of these\n", d->lines - YAMLDOC_LINES);
    }
    d->lines = 0;
    if (d->have_tree)
        yaml_document_delete(&d->tree);
    d->have_tree = false;
}

yaml_node_t *yamldoc_root(struct yamldoc *d) {
    return yaml_document_get_root_node(&d->tree);
}

yaml_node_t *yamldoc_node(struct yamldoc *d, int index) {
    return yaml_document_get_node(&d->tree, index);
}

bool yamldoc_pair(struct yamldoc *d, const yaml_node_t *map, size_t i, yaml_node_t **key_out,
                  yaml_node_t **value_out) {
    const yaml_node_pair_t *pair = map->data.mapping.pairs.start + i;

    if (pair >= map->data.mapping.pairs.top)
        return false;
    *key_out = yamldoc_node(d, pair->key);
    *value_out = yamldoc_node(d, pair->value);
    return true;
}

yaml_node_t *yamldoc_item(struct yamldoc *d, const yaml_node_t *list, size_t i) {
    const yaml_node_item_t *item = list->data.sequence.items.start + i;

    return item < list->data.sequence.items.top ? yamldoc_node(d, *item) : NULL;
}

const char *yamldoc_kind(const yaml_node_t *node) {
    switch (node->type) {
    case YAML_MAPPING_NODE:
        return "a map";
    case YAML_SEQUENCE_NODE:
        return "a list";
    case YAML_SCALAR_NODE:
    case YAML_NO_NODE:
        break;
    }
    return "a text";
}

bool yamldoc_plain(const yaml_node_t *node) {
    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* The loader fills in a tag where none was written. */
static bool has_tag(const yaml_node_t *node) {
    const char *tag = (const char *)node->tag;

    return tag && !str_eq(str_of(tag), STR(YAML_DEFAULT_SCALAR_TAG));
}

bool yamldoc_text(struct yamldoc *d, const yaml_node_t *node, const char *what, size_t max,
                  struct str *out) {
    struct str s;

    if (node->type != YAML_SCALAR_NODE) {
        yamldoc_error(d, node, "%s is %s, not %s", what, "a single value", yamldoc_kind(node));
        return false;
    }
    s = (struct str){(const char *)node->data.scalar.value, node->data.scalar.length};
    if (has_tag(node))
        yamldoc_error(d, node, "%s has a tag; none is known here", what);
    else if (s.n == 0 || (yamldoc_plain(node) && (str_eq(s, STR("~")) || str_eq(s, STR("null")))))
        yamldoc_error(d, node, "%s has no value; leave the line out for the default", what);
    else if (s.n > max)
        yamldoc_error(d, node, "%s is longer than %zu bytes", what, max);
    else {
        for (size_t i = 0; i < s.n; i++)
            if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
                yamldoc_error(d, node, "%s has a control character", what);
                return false;
            }
        *out = s;
        return true;
    }
    return false;
}
