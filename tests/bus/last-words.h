/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Last words
 *
 * A test that fails says what the daemon and the fake kernel last did and where its processes are, as comments above its
 * "not ok": what is seen to fail once is to be understood from that. A test that is killed by a signal says nothing.
 */

/* Of this process, from now on: the logs below @root, which is kept for somebody to look at. */
void last_words_from(const char *root);
