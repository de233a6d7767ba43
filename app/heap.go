package app

// ballastBytes is how much memory an App asks for and never touches, which takes address
// space and no memory. The collector runs when the heap has grown to twice what is in use;
// a process of Tocsin has about 10 MB in use, makes that anew many times a second under
// load, and would spend a fifth of its time on collecting. With this it lets 32 MB more
// pile up first, whatever is in use: serve then takes about a fifth less time for a request
// with one event. GOGC, which is another answer, would let a process with many webhooks
// grow several times as large.
const ballastBytes = 16 << 20
