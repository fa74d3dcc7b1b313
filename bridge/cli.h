/* The command line: what the user wrote becomes a configuration, or one line that says what is wrong. */
#ifndef BRIDGE_CLI_H
#define BRIDGE_CLI_H

#include "config.h"

enum cli_action { CLI_RUN, CLI_CHECK, CLI_HELP, CLI_VERSION, CLI_MISTAKE };

/* Fills in the configuration (free it in any case). CLI_MISTAKE with the error. */
enum cli_action cli_parse(struct config *config, int argc, char **argv, struct error *error);

/* The same for a hop that runs: what its sinks write to is theirs, and no mistake. */
enum cli_action cli_parse_again(struct config *config, int argc, char **argv, struct error *error);

/* --help: one screen; with an adapter's scheme, its options. False: there is no such adapter. */
bool cli_help(const char *topic, FILE *out);

/* What --help was asked for beside the overview, or NULL. */
const char *cli_topic(int argc, char **argv);

/* The program's options, without the hyphens: the i-th, NULL behind the last; and whether one, with them, takes a value. */
const char *cli_option_name(unsigned i);
bool cli_takes_value(const char *argument);

#endif
