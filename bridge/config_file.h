/* The configuration as a YAML file, exactly as wide as the command line:
 *
 *     hop: collector-1
 *     sources:
 *       servers: { url: "unix:/run/dnstap.sock", max-frame: 256KiB }
 *     sinks:
 *       pipeline: { url: "kafka://kafka:9092/dnstap", format: json, key: qname }
 *       archive: "dns-%Y%m%d.fstrm.zst"
 *
 * Keys of a source or sink are the names of its options. docs/configuration.md. Main thread. */
#ifndef BRIDGE_CONFIG_FILE_H
#define BRIDGE_CONFIG_FILE_H

#include "config.h"

/* Adds what the file says. False with FILE:LINE:COLUMN, what is wrong there, and what was expected. */
bool config_read_file(struct config *config, const char *path, struct error *error);

/* The same from an open file, which `path` names in errors. It stays open. */
bool config_read(struct config *config, FILE *file, const char *path, struct error *error);

#endif
