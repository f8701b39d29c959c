/* SPDX-License-Identifier: MIT */
/* The files beside this one, as text. ASCII only. */
#ifndef WEB_PAGE_PAGE_SOURCE_H
#define WEB_PAGE_PAGE_SOURCE_H

extern const char page_html[];
extern const char page_css[];
extern const char page_js[];

#endif
