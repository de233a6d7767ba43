// Package batch is for channels that hand every event over as a record of its own, as SIEM
// products want it: it fits each into a vendor's limit, packs them into as few requests as
// its limits allow, and puts what became of the requests together as one result per event.
package batch
