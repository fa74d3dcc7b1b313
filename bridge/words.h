/* How much alike two words are: for telling what somebody who wrote an unknown one may have meant. */
#ifndef BRIDGE_WORDS_H
#define BRIDGE_WORDS_H

/* How many letters have to be changed, put in or left out to make one of the other; words of more than 63
 * letters are like none. Any thread. */
unsigned words_apart(const char *a, const char *b);

#endif
