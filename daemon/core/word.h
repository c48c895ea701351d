/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Word
 *
 * A text that many devices have in common: a driver, what the kernel says of a kind of card, the address of the card
 * whose functions they are. Each is kept once, and for as long as the process runs, so that it may be passed about
 * without an owner. There are as many as the machine has drivers and kinds of cards; nothing that a client says is ever
 * kept here.
 */

/* The one copy of the text. NULL: there is no memory. */
const char *word_keep(const char *text);
