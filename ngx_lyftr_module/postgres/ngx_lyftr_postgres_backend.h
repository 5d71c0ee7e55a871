/*
 * The PostgreSQL backend: a store that several machines share, in a database
 * that somebody else runs.  This folder never knows nginx's event loop, a
 * request or the configuration: all of it is called through the functions of
 * store/ngx_lyftr_backend.h, in pool threads.
 */


#ifndef _NGX_LYFTR_POSTGRES_BACKEND_H_INCLUDED_
#define _NGX_LYFTR_POSTGRES_BACKEND_H_INCLUDED_


#include <ngx_lyftr_backend.h>


extern ngx_lyftr_backend_t  ngx_lyftr_postgres_backend;


#endif /* _NGX_LYFTR_POSTGRES_BACKEND_H_INCLUDED_ */
