// A minimal JSON writer: comma bookkeeping and string escapes, straight to stdout.
#include "json.h"
#include <stdio.h>
#include <string.h>

static int need_comma;

static void quoted(const char *text, long length) {
    putchar('"');
    for (long i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void member(const char *key) {
    if (need_comma)
        putchar(',');
    need_comma = 1;
    if (key) {
        quoted(key, (long)strlen(key));
        putchar(':');
    }
}

void json_open(const char *key, char bracket) {
    member(key);
    putchar(bracket);
    need_comma = 0;
}

void json_close(char bracket) {
    putchar(bracket);
    need_comma = 1;
}

void json_bytes(const char *key, const char *value, long length) {
    member(key);
    quoted(value, length);
}

void json_string(const char *key, const char *value) {
    json_bytes(key, value, (long)strlen(value));
}

void json_number(const char *key, long long value) {
    member(key);
    printf("%lld", value);
}
