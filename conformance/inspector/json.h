// A minimal JSON writer: comma bookkeeping and string escapes, straight to stdout.
#ifndef JSON_H
#define JSON_H

void json_open(const char *key, char bracket);
void json_close(char bracket);
void json_string(const char *key, const char *value);
void json_bytes(const char *key, const char *value, long length);
void json_number(const char *key, long long value);

// Each prints the container's view as members of the object that is open.
void report(int argc, char **argv, char **env);
void probe(const char *text);

// Long-running behaviours; each returns an exit status.
int mode_wait(int argc, char **argv);
int mode_spawn(int argc, char **argv);
int mode_stubborn(void);
int mode_busy(void);
int mode_crash(void);
int mode_seccomp_agent(int argc, char **argv);
int mode_hunt(void);
int mode_keep(int argc, char **argv);

#endif
