/*
 * The SQLite backend: the log, ids, files and their locks, the WAL, and the
 * jobs of the housekeeping, over the library in index/.  This folder never
 * knows nginx's event loop, a request or the configuration: all of it is called
 * through the functions of store/ngx_lyftr_backend.h, in pool threads.
 */


#ifndef _NGX_LYFTR_SQLITE_BACKEND_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_BACKEND_H_INCLUDED_


#include <ngx_lyftr_backend.h>


extern ngx_lyftr_backend_t  ngx_lyftr_sqlite_backend;


#endif /* _NGX_LYFTR_SQLITE_BACKEND_H_INCLUDED_ */
