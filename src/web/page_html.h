/* SPDX-License-Identifier: MIT */
/* The board as a page for people. */
#ifndef WEB_PAGE_HTML_H
#define WEB_PAGE_HTML_H

#include "board/board_text.h"

/* The page, and the Content-Security-Policy that lets its own style and script through. */
void page_html_write(FILE *out, const struct board_view *view, const struct board_setting *setting);
#define PAGE_POLICY 384
void page_html_policy(char policy[PAGE_POLICY]);
/* With what HTML gives a meaning to escaped, for text and for attributes in double quotes. */
void page_html_text(FILE *out, const char *text);

#endif
